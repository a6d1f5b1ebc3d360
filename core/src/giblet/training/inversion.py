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
from giblet.model import Autoencoder, Codes, Scans
from giblet.model.inversion import SCORES, Inversion
from giblet.training.causes import LONGEST, causes_of, features_of, film_ridge
from giblet.training.filtering import Noise, filters
from giblet.training.small_matrices import FAINT, MOST_TRS, Real, evenly, leading

MOST_VALUES = 1 << 24
"""Fewer TRs tell the components of predicted scans where a person's hold more values."""


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
    Bayesian reconstruction: Naselaris et al. 2009, doi:10.1016/j.neuron.2009.09.006). From how scores of predicted
    scans follow from what TRs are like comes the filter that says what a TR was like, given scores around it; and a
    code is a ridge on that. There is no regression from scans to films: of measured scans it has the noise. All of it
    has seen these blocks, so what comes of it is for other blocks to judge.
    """
    _turn_round(model, inversion, timelines, predicted, labels)
    seen, noise = _scores(model, inversion, timelines, predicted, labels)
    features = features_of(model, codes, timelines, labels)
    causes = causes_of(model, features, seen, timelines, labels)
    read = filters(causes, noise, inversion.lags)
    weights, offset = {}, {}
    for name in inversion.names:
        kept = [(i, trs[codes.present[i][name][trs]]) for i, trs in _trs(timelines, labels)]
        x = np.concatenate([features[i][name][trs] for i, trs in kept])
        targets = np.concatenate([codes.targets[i][name][trs] for i, trs in kept]).astype(np.float64)
        offset[name] = targets.mean(0) if len(targets) else np.zeros(targets.shape[1])
        weights[name] = read[name] @ film_ridge(x, targets - offset[name])
    return Readout(weights, offset)


def _trs(timelines: Sequence[Timeline], labels: Sequence[Label]) -> list[tuple[int, NDArray[np.int64]]]:
    return [(i, t.trs(*labels)) for i, t in enumerate(timelines)]


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
                    later += float(np.vdot(left[1:], left[:-1]))
                    pairs += int((there[1:] & there[:-1]).sum())
    now = max(float(np.trace(squares)) / max(n, 1), np.finfo(float).tiny)
    return seen, Noise(squares / max(n, 1), min(max(later / max(pairs, 1) / now, 0.0), LONGEST))


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
