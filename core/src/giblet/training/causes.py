"""How scores of predicted scans follow from what TRs of a film are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, cleaned
from giblet.model.encoding import DELAYS_S, Likenesses
from giblet.model.hemodynamics import response
from giblet.training.filtering import Cause
from giblet.training.likeness import fit_likeness, likened
from giblet.training.small_matrices import MOST_TRS, Real, evenly

PENALTY = 1e-2
"""Of ridges from what is known of a film, as a share of what a row adds: there is no noise in them."""
MEMORY_S = 6.0
"""How long features of a film last is taken from what is left of them after so long: scenes, not moments."""
LONGEST = 0.98
"""Most that is left a TR later."""


def features_of(
    model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label]
) -> list[dict[str, Real]]:
    """What the TRs of each run are like, modality by modality [T, Q]; 0 where it is not there."""
    likeness = Likenesses({name: size + codes.plain_sizes[name] for name, size in model.sizes.items()})
    fit_likeness(likeness, codes, timelines, labels)
    runs = [likened(likeness, codes, i) for i in range(len(timelines))]
    return [{name: x.double().numpy() for name, x in run.items()} for run in runs]


def causes_of(
    model: Autoencoder,
    features: Sequence[Mapping[str, Real]],
    seen: Sequence[Real],
    timelines: Sequence[Timeline],
    labels: Sequence[Label],
) -> dict[str, Cause]:
    """How scores of predicted scans `seen` [n, S] of each run follow from what its TRs are like."""
    tr_s = model.hemodynamics.tr_s
    middle = float(model.encoding.get_buffer("late_s").mean()) if model.encoding is not None else 0.0
    late = [response(model.config, tr_s, model.slice_time_ref, middle + d).double().numpy() for d in DELAYS_S]
    kernels = {name: np.eye(1) if name in model.applied else np.stack(late) for name in model.sizes}
    places = [(i, t.trs(*labels)) for i, t in enumerate(timelines)]
    rows = np.concatenate([_design(model, features[i], kernels, timelines[i])[trs] for i, trs in places])
    kept = evenly(len(rows), MOST_TRS)
    weights, start, causes = film_ridge(rows[kept], np.concatenate(seen)[kept]), 0, {}
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
    return torch.stack([cleaned(rows, timeline, s) for s in model.subjects]).mean(0).double().numpy()


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


def film_ridge(x: Real, y: Real) -> Real:
    """Weights [P, W] of y [n, W] on x [n, P], by the smaller of two ways to the same; 0 where there is no row."""
    n, width = x.shape
    alike = x.T @ x if width <= n else x @ x.T
    alike[np.diag_indices_from(alike)] += max(PENALTY * float(np.square(x).sum()) / max(n, 1), np.finfo(float).tiny)
    return np.asarray(np.linalg.solve(alike, x.T @ y) if width <= n else x.T @ np.linalg.solve(alike, y))
