"""Are the scans in step with the film? A search over the lag at which the training scans are predicted best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from giblet.alignment.hrf import HRF_SLACK_S
from giblet.analysis.baselines import blocked_folds, reduced
from giblet.analysis.scores import Real
from giblet.analysis.solvers import Fold
from giblet.analysis.surrogates import random_phases, turned
from giblet.errors import DataError
from giblet.types import Float, Int

Resolution = tuple[Int, Int, Float]

MIN_Z = 3.0
FEATURE_COMPONENTS = 30
SCAN_COMPONENTS = 20
PENALTIES = (0.1, 1.0, 10.0)  # in units of the mean eigenvalue of the features


@dataclass(frozen=True, slots=True, eq=False)
class Lag:
    """How late the scans come, in seconds (negative: early), with the curve of held-out r [n] at `lags_s` [n].

    `z` is how far the gain in r at the peak over no lag exceeds that of phase-randomised scans; `misaligned` when it
    is at least 3 and the lag is more than 1 TR plus 2 s.
    """

    lag_s: float
    z: float
    misaligned: bool
    lags_s: Real
    curve: Real


def scan_lag(
    features_hrf: Float,
    y: Float,
    train: Int,
    runs: Sequence[slice],
    tr_s: float,
    max_lag_s: float = 30.0,
    folds: int = 4,
    gap: int = 0,
    n_surrogates: int = 20,
    seed: int = 0,
) -> Lag:
    """Estimate how much later the scans y [T, V] come than the features [T, P] convolved with the canonical HRF.

    A ridge on at most 30 components is cross-validated in blocks at every lag; the peak is interpolated by a parabola.
    Only training TRs are read, and every lag is scored on the same ones: those at least `max_lag_s` inside a
    contiguous piece of training TRs. The score is the mean r over the first 20 components of the scans, so that noise
    which all voxels share counts once.

    Raises
    ------
    DataError
        If the pieces of training TRs are too short for the lag and the folds.
    """
    reach = max(int(max_lag_s / tr_s), 2)
    pieces = [p for p in contiguous(train, runs) if p.stop - p.start > 2 * reach + 3]
    if not pieces:
        raise DataError(f"no piece of training TRs is longer than twice {max_lag_s} s; search for a smaller lag")
    x = reduced(features_hrf, train, FEATURE_COMPONENTS).astype(np.float32)
    scans = reduced(y, train, SCAN_COMPONENTS).astype(np.float32)
    inner = np.concatenate([np.arange(p.start + reach, p.stop - reach) for p in pieces])
    lags = np.arange(-reach, reach + 1)
    fits = _resolutions(x, lags, blocked_folds(inner, pieces, folds, gap))
    by_penalty = np.stack([_curve(fits, scans, j) for j in range(len(PENALTIES))])
    best = int(by_penalty.max(1).argmax())
    null = [_curve(fits, s, best) for s in _surrogates(scans, pieces, n_surrogates, seed)]
    return _verdict(by_penalty[best], np.stack(null), lags, tr_s)


def contiguous(train: Int, runs: Sequence[slice]) -> list[slice]:
    """The unbroken pieces of the training TRs within a run."""
    train = np.sort(np.asarray(train))
    run = np.searchsorted([r.start for r in runs], train, side="right")
    cuts = np.flatnonzero((np.diff(train) > 1) | (np.diff(run) > 0)) + 1
    return [slice(int(p[0]), int(p[-1]) + 1) for p in np.split(train, cuts) if len(p)]


def _surrogates(y: Float, pieces: Sequence[slice], n: int, seed: int) -> Iterator[Float]:
    """Phase-randomised scans [T, V], n times: the same spectra and spatial pattern, no relation to the film."""
    turns = random_phases([p.stop - p.start for p in pieces], n, seed)
    for i in range(n):
        out = np.zeros_like(y)
        for piece, turn in zip(pieces, turns, strict=True):
            out[piece] = turned(y, piece, turn[i])
        yield out


def _resolutions(x: Float, lags: Int, folds: Sequence[Fold]) -> list[Resolution]:
    """For each fold its TRs, and what turns centred scans into predictions, [lags, penalties, held, fit]."""
    return [(fit, held, np.stack([_ridges(x[fit - lag], x[held - lag]) for lag in lags])) for fit, held in folds]


def _ridges(x_fit: Float, x_held: Float) -> Float:
    """The linear maps from scans to held-out predictions, [penalties, held, fit]."""
    mean = x_fit.mean(0)
    u, s, vt = np.linalg.svd(x_fit - mean, full_matrices=False)
    scores = (x_held - mean) @ vt.T
    return np.stack([scores * (s / (s**2 + a * np.mean(s**2))) @ u.T for a in PENALTIES])


def _curve(fits: Sequence[Resolution], y: Float, penalty: int) -> Real:
    """Held-out r at every lag, averaged over folds and components: [lags]."""
    total = np.zeros(len(fits[0][2]))
    for fit, held, maps in fits:
        centred, target = y[fit] - y[fit].mean(0), y[held] - y[held].mean(0)
        target = target / np.maximum(np.linalg.norm(target, axis=0), 1e-12)
        for i, ridge in enumerate(maps[:, penalty]):
            prediction = ridge @ centred
            prediction -= prediction.mean(0)
            norm = np.maximum(np.linalg.norm(prediction, axis=0), 1e-12)
            total[i] += float((np.einsum("tv,tv->v", prediction, target) / norm).mean())
    return total / len(fits)


def _verdict(curve: Real, null: Real, lags: Int, tr_s: float) -> Lag:
    """Interpolate the curve's peak and compare its gain over no lag with the gains of the null curves [n, lags]."""
    zero = len(lags) // 2
    gain, gains = curve.max() - curve[zero], null.max(1) - null[:, zero]
    z = float((gain - gains.mean()) / max(gains.std(ddof=1), 1e-12))
    peak = int(curve.argmax())
    lag_s = float(lags[peak] + vertex(curve, peak)) * tr_s
    misaligned = z >= MIN_Z and abs(lag_s) > tr_s + HRF_SLACK_S
    return Lag(lag_s, z, misaligned, np.asarray(lags * tr_s, np.float64), curve)


def vertex(curve: Real, peak: int) -> float:
    """Where between its neighbours the parabola through a peak lies, -0.5 to 0.5; 0 at the ends of the curve."""
    if not 0 < peak < len(curve) - 1:
        return 0.0
    before, at, after = curve[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
