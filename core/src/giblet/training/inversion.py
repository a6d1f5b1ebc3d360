"""Fitting the reading of scans in closed form, once scans can be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.data.dataset import Timeline
from giblet.data.scratch import row_slabs
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, Scans, cleaned
from giblet.model.encoding import DELAYS_S, Likeness
from giblet.model.hemodynamics import response
from giblet.model.inversion import SCORES, Inversion
from giblet.training.filtering import Cause, Noise, filters
from giblet.training.likeness import fit_likeness
from giblet.training.small_matrices import FAINT, MOST_TRS, Real, evenly, leading

MOST_VALUES = 1 << 24
"""Fewer TRs tell the components of predicted scans where a person's hold more values."""
PENALTY = 1e-2
"""Of ridges from what is known of a film, as a share of its mean variance: there is no noise in them."""
MEMORY_S = 6.0
"""How long features of a film last is taken from what is left of them after so long: scenes, not moments."""
LONGEST = 0.98
"""Most that is left a TR later."""


@dataclass(frozen=True)
class Readout:
    """What scores around a TR say of each modality's code: weights [L S, W] and offset [W]."""

    weights: Mapping[str, Real]
    offset: Mapping[str, Real]

    def put(self, inversion: Inversion, trust: Mapping[str, Real] | None = None) -> None:
        """Let a model read by it, each column [W] times the factor that it is trusted with."""
        for name, weights in self.weights.items():
            factor = np.ones(weights.shape[1]) if trust is None else trust[name]
            inversion.put(f"weights_{name}", torch.from_numpy(weights * factor))
            inversion.put(f"offset_{name}", torch.from_numpy(self.offset[name] * factor))


def fit_inversion(
    model: Autoencoder,
    inversion: Inversion,
    codes: Codes,
    timelines: Sequence[Timeline],
    predicted: Scans,
    labels: Sequence[Label] = ("train",),
) -> Readout:
    """Turn the encoding model that made `predicted` round, on some blocks.

    With the components C of the predicted scans of all people, their variances S and a person's noise N, a scan y has
    the scores (C N^-1 C' + S^-1)^-1 C N^-1 y: the mean of what they can be, given y, under normal distributions (a
    Bayesian reconstruction: Naselaris et al. 2009, doi:10.1016/j.neuron.2009.09.006). How the scores of predicted scans
    follow from what TRs are like (`Likeness`) is a ridge; so what the film was like, given scores around a TR, is a
    filter that needs no pair of a film and a measured scan; and a code is a ridge on what a TR is like. What scans were
    measured for is the noise. All of it has seen these blocks, so what comes of it is for other blocks to judge.
    """
    _turn_round(model, inversion, timelines, predicted, labels)
    seen, noise = _scores(model, inversion, timelines, predicted, labels)
    features = _features(model, codes, timelines, labels)
    causes = _causes(model, features, seen, timelines, labels)
    read = filters(causes, noise, inversion.lags)
    weights, offset = {}, {}
    for name in inversion.names:
        kept = [(i, trs[codes.present[i][name][trs]]) for i, trs in _trs(timelines, labels)]
        x = np.concatenate([features[i][name][trs] for i, trs in kept])
        targets = np.concatenate([codes.targets[i][name][trs] for i, trs in kept]).astype(np.float64)
        offset[name] = targets.mean(0) if len(targets) else np.zeros(targets.shape[1])
        weights[name] = read[name] @ _ridge(x, targets - offset[name])
    return Readout(weights, offset)


def _trs(timelines: Sequence[Timeline], labels: Sequence[Label]) -> list[tuple[int, NDArray[np.int64]]]:
    return [(i, t.trs(*labels)) for i, t in enumerate(timelines)]


def _ridge(x: Real, y: Real) -> Real:
    """Weights [P, W] of y [n, W] on x [n, P], by the smaller of both ways."""
    n, width = x.shape
    alike = x.T @ x if width <= n else x @ x.T
    alike[np.diag_indices_from(alike)] += max(PENALTY * float(np.square(x).sum()) / len(alike), np.finfo(float).tiny)
    return np.asarray(np.linalg.solve(alike, x.T @ y) if width <= n else x.T @ np.linalg.solve(alike, y))


def _features(
    model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label]
) -> list[dict[str, Real]]:
    """What the TRs of each run are like, modality by modality [T, Q]; 0 where it is not there."""
    likeness = {name: Likeness(size + codes.plain_sizes[name]) for name, size in model.sizes.items()}
    fit_likeness(likeness, codes, timelines, labels)
    found: list[dict[str, Real]] = []
    for inputs, summaries, present in zip(codes.inputs, codes.summaries, codes.present, strict=True):
        known = {n: torch.from_numpy(np.concatenate([inputs[n], summaries[n]], 1)) for n in likeness}
        found.append({n: like(known[n]).double().numpy() * present[n][:, None] for n, like in likeness.items()})
    return found


def _causes(
    model: Autoencoder,
    features: Sequence[Mapping[str, Real]],
    seen: Sequence[Real],
    timelines: Sequence[Timeline],
    labels: Sequence[Label],
) -> dict[str, Cause]:
    """How scores of predicted scans `seen` [n, S] of each run follow from what its TRs are like."""
    tr_s = model.hemodynamics.tr_s
    late = torch.stack([response(model.config, tr_s, model.slice_time_ref, d) for d in DELAYS_S]).double().numpy()
    kernels = {name: np.eye(1) if name in model.applied else late for name in model.sizes}
    places = _trs(timelines, labels)
    rows = np.concatenate([_design(model, features[i], kernels, timelines[i])[trs] for i, trs in places])
    kept = evenly(len(rows), MOST_TRS)
    weights, start, causes = _ridge(rows[kept], np.concatenate(seen)[kept]), 0, {}
    for name, kernel in kernels.items():
        mine = [features[i][name] for i in range(len(timelines))]
        size = len(kernel) * mine[0].shape[1]
        variance = np.concatenate([x[trs] for x, (_, trs) in zip(mine, places, strict=True)]).var(0)
        into = weights[start : start + size].reshape(len(kernel), -1, weights.shape[1])
        causes[name], start = Cause(variance, _memory(mine, timelines, labels, tr_s), kernel, into), start + size
    return causes


def _design(model: Autoencoder, features: Mapping[str, Real], kernels: Mapping[str, Real], timeline: Timeline) -> Real:
    """A run's features under each response, rid of what cleaning took out of scans, the mean over people, [T, R Q]."""
    blurred = [
        np.stack([np.apply_along_axis(np.convolve, 0, features[name], k)[: len(features[name])] for k in kernel], 1)
        for name, kernel in kernels.items()
    ]
    rows = torch.from_numpy(np.concatenate([b.reshape(len(b), -1) for b in blurred], 1).astype(np.float32))
    people = [s for s in model.subjects if s in timeline.scans]
    return (
        torch.stack([cleaned(rows, timeline, s) for s in people]).mean(0).double().numpy() if people else rows.numpy()
    )


def _memory(features: Sequence[Real], timelines: Sequence[Timeline], labels: Sequence[Label], tr_s: float) -> float:
    """What is left of features [T, Q] a TR later, as if it fell off exponentially, from what is left after a while."""
    lag, together, alone = max(round(MEMORY_S / tr_s), 1), 0.0, 0.0
    for x, line in zip(features, timelines, strict=True):
        for block in line.of(*labels):
            mine = x[block.trs]
            together += float(np.vdot(mine[lag:], mine[:-lag]))
            alone += float(np.vdot(mine[lag:], mine[lag:]) + np.vdot(mine[:-lag], mine[:-lag])) / 2
    left = min(max(together / alone, 0.0), 1.0) if alone else 0.0
    return float(min(left ** (1 / lag), LONGEST))


def _scores(
    model: Autoencoder,
    inversion: Inversion,
    timelines: Sequence[Timeline],
    predicted: Scans,
    labels: Sequence[Label],
) -> tuple[list[Real], Noise]:
    """Scores of predicted scans, the mean over people, at some TRs of each run [n, S]; and what they leave of scans."""
    seen = [np.zeros((len(trs), SCORES)) for _, trs in _trs(timelines, labels)]
    squares, later, pairs, n = np.zeros((SCORES, SCORES)), 0.0, 0, 0
    for k, s in enumerate(model.subjects):
        into = inversion.get_buffer(f"into_{k}").cpu().numpy()
        for i, line in enumerate(timelines):
            at = 0
            for block in line.of(*labels):
                guess = _through(predicted[i][s][block.trs], into)
                seen[i][at : at + len(guess)] += guess / len(model.subjects)
                at += len(guess)
                if s in line.scans:
                    there = line.scanned[s][block.trs]
                    left = (_through(line.scans[s][block.trs], into) - guess) * there[:, None]
                    squares, n = squares + left.T @ left, n + int(there.sum())
                    later, pairs = (
                        later + float(np.vdot(left[1:], left[:-1])),
                        pairs + int((there[1:] & there[:-1]).sum()),
                    )
    left_over = later / max(pairs, 1) / max(float(np.trace(squares)) / max(n, 1), np.finfo(float).tiny)
    return seen, Noise(squares / max(n, 1), min(max(left_over, 0.0), LONGEST))


def _through(scan: NDArray[np.float32], into: NDArray[np.float32]) -> Real:
    """Scores [n, S] of a scan [n, V], which may be on the disk."""
    return np.concatenate([scan[slab] @ into for slab in row_slabs(*scan.shape)]).astype(np.float64)


def _turn_round(
    model: Autoencoder,
    inversion: Inversion,
    timelines: Sequence[Timeline],
    predicted: Scans,
    labels: Sequence[Label],
) -> None:
    """Fit what takes each person's scan to scores, on blocks of these purposes."""
    places = [(i, int(tr)) for i, trs in _trs(timelines, labels) for tr in trs]
    voxels = max(guess.shape[1] for guess in predicted[0].values())
    most = min(MOST_TRS, max(2 * SCORES, MOST_VALUES // voxels))
    places = [places[k] for k in evenly(len(places), most)]
    alike = sum(guess @ guess.T for guess in (_centred(predicted, places, s) for s in model.subjects))
    values, axes = leading(np.asarray(alike, np.float64), SCORES)
    for k, s in enumerate(model.subjects):
        components = (axes / np.sqrt(values)).T.astype(np.float32) @ _centred(predicted, places, s)
        noise = _noise(timelines, predicted, s, labels)
        weighed = components / noise.clip(FAINT * noise.mean() + np.finfo(float).tiny)
        into = np.zeros((len(noise), SCORES))
        inner = weighed @ components.T + np.diag(len(places) / values)
        into[:, : len(values)] = np.linalg.solve(inner, weighed).T
        inversion.put(f"into_{k}", torch.from_numpy(into))


def _centred(predicted: Scans, places: Sequence[tuple[int, int]], subject: str) -> NDArray[np.float32]:
    """A person's predicted scan at some TRs [n, V], less its mean."""
    rows = np.stack([predicted[i][subject][tr] for i, tr in places])
    rows -= rows.mean(0)
    return rows


def _noise(timelines: Sequence[Timeline], predicted: Scans, subject: str, labels: Sequence[Label]) -> Real:
    """Mean square of what the prediction leaves of a person's scan, [V]."""
    voxels = predicted[0][subject].shape[1]
    total, n = np.zeros(voxels), 0
    for t, guess in zip(timelines, predicted, strict=True):
        trs = t.trs(*labels)
        trs = trs[t.scanned[subject][trs]] if subject in t.scans else trs[:0]
        for slab in row_slabs(len(trs), voxels):
            total += np.square(t.scans[subject][trs[slab]] - guess[subject][trs[slab]]).sum(0, dtype=np.float64)
        n += len(trs)
    return total / max(n, 1)
