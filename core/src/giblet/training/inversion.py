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
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, Scans, placed
from giblet.model.inversion import SCORES, Inversion

Real = NDArray[np.float64]
Mask = NDArray[np.bool_]
FITTED: tuple[Label, ...] = ("train", "validation")
PENALTIES = np.logspace(-3, 4, 15)
"""Of ridges, relative to scores whose mean squared norm is 1."""
MOST_TRS = 2048
"""So many TRs, evenly spaced, tell the components of the predicted scans."""
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
    """What ridges from scores to each modality's code learn from training blocks, and from all but the test blocks."""

    inversion: Inversion
    train: Mapping[str, Moments]
    every: Mapping[str, Moments]
    penalty: Mapping[str, NDArray[np.int64]]
    """The place of each column's penalty among `PENALTIES`; behind them where the column cannot be read."""

    @property
    def readable(self) -> dict[str, Mask]:
        """Which columns a ridge reads better than their mean, [W]."""
        return {name: penalty < len(PENALTIES) for name, penalty in self.penalty.items()}

    def put(self) -> None:
        """Let the model read as training blocks alone taught, which is what validation blocks can judge."""
        self._put(self.train, {name: np.ones(len(p)) for name, p in self.penalty.items()})

    def put_again(self, trust: Mapping[str, Real]) -> None:
        """Let it read as all but the test blocks teach, each column [W] times the factor that it is trusted with."""
        self._put(self.every, trust)

    def _put(self, moments: Mapping[str, Moments], trust: Mapping[str, Real]) -> None:
        for name, m in moments.items():
            penalty = self.penalty[name]
            weights, offset = np.zeros_like(m.xt), np.zeros_like(m.t)
            with one_thread():
                for k, (w, o) in enumerate(m.ridges()):
                    weights[:, penalty == k], offset[penalty == k] = w[:, penalty == k], o[penalty == k]
            self.inversion.put(f"weights_{name}", torch.from_numpy(weights * trust[name]))
            self.inversion.put(f"offset_{name}", torch.from_numpy(offset * trust[name]))


def fit_inversion(model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], predicted: Scans) -> Readout:
    """Turn the encoding model round, and fit codes to what that finds in everybody's measured scans.

    With the components C of the predicted scans of all people, their variances S and a person's noise N, a scan y has
    the scores (C N^-1 C' + S^-1)^-1 C N^-1 y: the mean of what they can be, given y, under normal distributions (a
    Bayesian reconstruction: Naselaris et al. 2009, doi:10.1016/j.neuron.2009.09.006). A column of a code is a ridge on
    them, on scores of one person and TR a row; its penalty has the least squared error in blocked cross-validation
    inside the training TRs, and where the mean is no worse, the column is not read.

    Raises
    ------
    DataError
        If the training TRs are too few for two folds.
    """
    inversion = model.invert([predicted[0][s].shape[1] for s in model.subjects])
    _turn_round(model, inversion, timelines, predicted)
    joined = join(timelines)
    folds = inner_folds(joined.train, joined.runs, inversion.lags)
    parts = blocked_folds(joined.train, joined.runs, folds, inversion.lags)
    sets = [rows for fold in parts for rows in fold] + [joined.train, np.concatenate([joined.train, joined.validation])]
    masks = [np.isin(np.arange(joined.runs[-1].stop), rows) for rows in sets]
    found: dict[str, list[Moments]] = {}
    for name, x, t, inside in _rows(model, inversion, codes, timelines, masks):
        new = [Moments.of(x[rows], t[rows]) for rows in inside]
        found[name] = [a + b for a, b in zip(found[name], new, strict=True)] if name in found else new
    penalty = {name: _penalties(moments[:-2]) for name, moments in found.items()}
    return Readout(inversion, {n: m[-2] for n, m in found.items()}, {n: m[-1] for n, m in found.items()}, penalty)


def _turn_round(model: Autoencoder, inversion: Inversion, timelines: Sequence[Timeline], predicted: Scans) -> None:
    """Fit what takes each person's scan to scores."""
    places = [(i, int(tr)) for i, t in enumerate(timelines) for tr in t.trs(*FITTED)]
    places = [places[k] for k in np.linspace(0, len(places) - 1, min(len(places), MOST_TRS)).round().astype(int)]
    alike = np.zeros((len(places), len(places)))
    for s in model.subjects:
        guess = _centred(predicted, places, s)
        alike += guess @ guess.T
    values, axes = (a[..., ::-1][..., :SCORES] for a in np.linalg.eigh(alike))
    there = values > FAINT * max(values[0], np.finfo(float).tiny)
    values, axes = values[there], axes[:, there]
    for k, s in enumerate(model.subjects):
        components = (axes / np.sqrt(values)).T @ _centred(predicted, places, s)
        noise = _noise(timelines, predicted, s)
        weighed = components / noise.clip(FAINT * noise.mean() + np.finfo(float).tiny)
        into = np.zeros((len(noise), SCORES))
        inner = weighed @ components.T + np.diag(len(places) / values)
        into[:, : len(values)] = np.linalg.solve(inner, weighed).T
        inversion.put(f"into_{k}", torch.from_numpy(into))


def _centred(predicted: Scans, places: Sequence[tuple[int, int]], subject: str) -> NDArray[np.float32]:
    """A person's predicted scan at some TRs [n, V], less its mean."""
    rows = np.stack([predicted[i][subject][tr] for i, tr in places])
    return np.asarray(rows - rows.mean(0))


def _noise(timelines: Sequence[Timeline], predicted: Scans, subject: str) -> Real:
    """Mean square of what the prediction leaves of a person's scan, [V]."""
    total, n = np.float64(0.0), 0
    for t, guess in zip(timelines, predicted, strict=True):
        for block in t.of(*FITTED) if subject in t.scans else ():
            left = (t.scans[subject][block.trs] - guess[subject][block.trs])[t.scanned[subject][block.trs]]
            total, n = total + np.square(left, dtype=np.float64).sum(0), n + len(left)
    return np.asarray(total / max(n, 1)) * np.ones(predicted[0][subject].shape[1])


def _rows(
    model: Autoencoder,
    inversion: Inversion,
    codes: Codes,
    timelines: Sequence[Timeline],
    masks: Sequence[Mask],
) -> Iterator[tuple[str, Real, Real, list[Mask]]]:
    """Scores [n, S] and codes [n, W] of a modality for each block and person, and which rows lie in each mask."""
    starts = [run.start for run in join(timelines).runs]
    for i, (start, t) in enumerate(zip(starts, timelines, strict=True)):
        for block in t.of(*FITTED):
            for s, y in t.scans.items():
                scanned = t.scanned[s][block.trs]
                scan, valid = placed(np.array(y[block.trs]), model), placed(scanned, model)
                x = inversion(scan[None], valid[None], model.subjects.index(s))[0].double().cpu().numpy()
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
