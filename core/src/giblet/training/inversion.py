"""Fitting the reading of scans in closed form, once scans can be predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from giblet.analysis.baselines import blocked_folds, inner_folds
from giblet.analysis.joined import join
from giblet.data.dataset import Timeline
from giblet.data.scratch import row_slabs
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, Scans, placed
from giblet.model.inversion import SCORES, Inversion

Real = NDArray[np.float64]
Mask = NDArray[np.bool_]
PENALTIES = np.logspace(-3, 4, 15)
"""Of ridges, relative to scores whose mean squared norm is 1."""
MOST_TRS, MOST_VALUES = 2048, 1 << 26
"""So many TRs, evenly spaced, tell the components of predicted scans; fewer where a person's hold more values."""
FAINT = 1e-6
"""Components below this share of the first one's variance are none; no voxel has less than this share of the noise."""


def one_thread() -> AbstractContextManager[object]:
    """For small matrices: on a busy machine, several threads wait for each other a hundred times as long."""
    return threadpool_limits(limits=1, user_api="blas")


@dataclass(frozen=True)
class Moments:
    """Sums over n rows of scores x [n, S] and codes t [n, W]: all that a ridge needs of them."""

    n: int
    x: Real
    t: Real
    xx: Real
    xt: Real
    tt: Real

    @classmethod
    def of(cls, x: Real, t: Real) -> Moments:
        """Of some rows."""
        return cls(len(x), x.sum(0), t.sum(0), x.T @ x, x.T @ t, np.square(t).sum(0))

    def __add__(self, other: Moments) -> Moments:
        mine, theirs = vars(self), vars(other)
        return Moments(**{name: mine[name] + theirs[name] for name in mine})

    def ridges(self) -> Iterator[tuple[Real, Real]]:
        """Weights [S, W] and offset [W] at each penalty."""
        n = max(self.n, 1)
        x, t = self.x / n, self.t / n
        xx, xt = self.xx - n * np.outer(x, x), self.xt - n * np.outer(x, t)
        norm = max(float(np.trace(xx)) / n, np.finfo(float).tiny)
        values, axes = np.linalg.eigh(xx / norm)
        along = axes.T @ (xt / norm)
        for penalty in PENALTIES:
            w = axes @ (along / (values.clip(0) + penalty)[:, None])
            yield w, t - x @ w

    def errors(self, w: Real, offset: Real) -> Real:
        """Sum of squared errors of x @ w + offset over these rows, [W]."""
        cross = (w * self.xt).sum(0) + offset * self.t
        return self.tt - 2 * cross + (w * (self.xx @ w)).sum(0) + 2 * offset * (self.x @ w) + self.n * offset**2


@dataclass(frozen=True)
class Readout:
    """What ridges from scores to each modality's code have learned, by their penalties."""

    moments: Mapping[str, Moments]
    penalty: Mapping[str, NDArray[np.int64]]
    """The place of each column's penalty among `PENALTIES`; behind them where the column's mean is no worse."""

    @property
    def readable(self) -> dict[str, Mask]:
        """Which columns a ridge reads better than their mean, [W]."""
        return {name: penalty < len(PENALTIES) for name, penalty in self.penalty.items()}

    def put(self, inversion: Inversion, trust: Mapping[str, Real] | None = None) -> None:
        """Let a model read by it, each column [W] times the factor that it is trusted with."""
        for name, m in self.moments.items():
            penalty = self.penalty[name]
            weights, offset = np.zeros_like(m.xt), np.zeros_like(m.t)
            with one_thread():
                for k, (w, o) in enumerate(m.ridges()):
                    weights[:, penalty == k], offset[penalty == k] = w[:, penalty == k], o[penalty == k]
            factor = np.ones(len(offset)) if trust is None else trust[name]
            inversion.put(f"weights_{name}", torch.from_numpy(weights * factor))
            inversion.put(f"offset_{name}", torch.from_numpy(offset * factor))


def fit_inversion(
    model: Autoencoder,
    inversion: Inversion,
    codes: Codes,
    timelines: Sequence[Timeline],
    predicted: Scans,
    labels: Sequence[Label] = ("train",),
) -> Readout:
    """Turn the encoding model that made `predicted` round, and fit codes to what it finds in scans, on some blocks.

    With the components C of the predicted scans of all people, their variances S and a person's noise N, a scan y has
    the scores (C N^-1 C' + S^-1)^-1 C N^-1 y: the mean of what they can be, given y, under normal distributions (a
    Bayesian reconstruction: Naselaris et al. 2009, doi:10.1016/j.neuron.2009.09.006). A column of a code is a ridge on
    them, on scores of one person and TR a row; its penalty has the least squared error in blocked cross-validation.
    The components have seen all of these blocks, so that what comes of it is for other blocks to judge.

    Raises
    ------
    DataError
        If the TRs are too few for two folds.
    """
    _turn_round(model, inversion, timelines, predicted, labels)
    joined = join(timelines)
    trs = np.concatenate([t.trs(*labels) + run.start for t, run in zip(timelines, joined.runs, strict=True)])
    parts = blocked_folds(trs, joined.runs, inner_folds(trs, joined.runs, inversion.lags), inversion.lags)
    masks = [np.isin(np.arange(joined.runs[-1].stop), rows) for rows in [*(r for fold in parts for r in fold), trs]]
    found: dict[str, list[Moments]] = {}
    for name, x, t, inside in _rows(model, inversion, codes, timelines, labels, masks):
        new = [Moments.of(x[rows], t[rows]) for rows in inside]
        found[name] = [a + b for a, b in zip(found[name], new, strict=True)] if name in found else new
    penalty = {name: _penalties(moments[:-1]) for name, moments in found.items()}
    return Readout({name: moments[-1] for name, moments in found.items()}, penalty)


def _turn_round(
    model: Autoencoder,
    inversion: Inversion,
    timelines: Sequence[Timeline],
    predicted: Scans,
    labels: Sequence[Label],
) -> None:
    """Fit what takes each person's scan to scores, on blocks of these purposes."""
    places = [(i, int(tr)) for i, t in enumerate(timelines) for tr in t.trs(*labels)]
    voxels = max(guess.shape[1] for guess in predicted[0].values())
    most = min(len(places), MOST_TRS, max(2 * SCORES, MOST_VALUES // voxels))
    places = [places[k] for k in np.linspace(0, len(places) - 1, most).round().astype(int)]
    alike = sum(guess @ guess.T for guess in (_centred(predicted, places, s) for s in model.subjects))
    values, axes = (a[..., ::-1][..., :SCORES] for a in np.linalg.eigh(np.asarray(alike, np.float64)))
    there = values > FAINT * max(values[0], np.finfo(float).tiny)
    values, axes = values[there], axes[:, there]
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


def _rows(
    model: Autoencoder,
    inversion: Inversion,
    codes: Codes,
    timelines: Sequence[Timeline],
    labels: Sequence[Label],
    masks: Sequence[Mask],
) -> Iterator[tuple[str, Real, Real, list[Mask]]]:
    """Scores [n, S] and codes [n, W] of a modality for each block and person, and which rows lie in each mask."""
    starts = [run.start for run in join(timelines).runs]
    for i, (start, t) in enumerate(zip(starts, timelines, strict=True)):
        for block in t.of(*labels):
            for s, y in t.scans.items():
                scanned = t.scanned[s][block.trs]
                scan, valid = placed(np.array(y[block.trs]), model), placed(scanned, model)
                x = inversion(scan[None], valid[None], model.subjects.index(s))[0]
                x = inversion.ahead(x).double().cpu().numpy()
                for name in inversion.names:
                    there = scanned & codes.present[i][name][block.trs]
                    inside = [there & mask[start + block.start : start + block.stop] for mask in masks]
                    yield name, x, codes.targets[i][name][block.trs].astype(np.float64), inside


def _penalties(folds: Sequence[Moments]) -> NDArray[np.int64]:
    """Each column's best penalty over folds (what is fitted, what is held), [W]; past the last where none helps."""
    errors, constant = np.zeros((len(PENALTIES), len(folds[0].t))), np.zeros(len(folds[0].t))
    with one_thread():
        for fit, held in zip(folds[::2], folds[1::2], strict=True):
            errors += np.stack([held.errors(w, offset) for w, offset in fit.ridges()])
            constant += held.errors(np.zeros_like(fit.xt), fit.t / max(fit.n, 1))
    return np.where(errors.min(0) < constant, errors.argmin(0), len(PENALTIES))
