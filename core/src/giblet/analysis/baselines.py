"""Linear baselines on the same features and split: training mean, FIR ridge and banded ridge (himalaya)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.scores import Real, zscore_train
from giblet.errors import DataError
from giblet.types import Float, Int

Single = NDArray[np.float32]
Fold = tuple[Int, Int]

ALPHAS = tuple(float(a) for a in np.logspace(-2, 4, 10))
MIN_FOLD_TRS = 10


@dataclass(frozen=True, slots=True, eq=False)
class RidgeResult:
    """What a ridge predicts for every TR, [T, V], with its penalty [V] and the weight of each band [bands, V].

    Penalties are relative to features whose mean squared norm a training TR is 1.
    """

    prediction: Single
    alpha: Single
    band_weights: Single
    notes: tuple[str, ...]


def training_mean(y: Float, train: Int) -> Real:
    """Predict the mean of the training TRs everywhere, [T, V]."""
    return np.broadcast_to(np.asarray(y[train], np.float64).mean(0), y.shape).copy()


def delay(x: Float, lags: Sequence[int], runs: Sequence[slice]) -> Float:
    """Stack delayed copies of x [T, P] -> [T, P * L]: columns `l * P : (l + 1) * P` hold x at TR t - lags[l].

    Zero where t - lags[l] lies outside the run of t; negative lags look ahead.
    """
    n_features = x.shape[1]
    out = np.zeros((len(x), n_features * len(lags)), x.dtype)
    for run in runs:
        length = run.stop - run.start
        for i, lag in enumerate(lags):
            if abs(lag) < length:
                to = slice(run.start + max(lag, 0), run.stop + min(lag, 0))
                out[to, i * n_features : (i + 1) * n_features] = x[run.start - min(lag, 0) : run.stop - max(lag, 0)]
    return out


def blocked_folds(train: Int, runs: Sequence[slice], folds: int, gap: int) -> list[Fold]:
    """Split training TRs into `folds` contiguous parts: (fit, held) of each, `fit` without TRs closer than the gap.

    The gap, in TRs, lies between TRs of one run; other runs are far enough.

    Raises
    ------
    DataError
        If the gaps leave fewer than 10 TRs to fit on.
    """
    train = np.sort(np.asarray(train))
    run_of = np.searchsorted([r.start for r in runs], train, side="right")
    out = []
    for held in np.array_split(np.arange(len(train)), folds):
        fit = np.ones(len(train), bool)
        for run in np.unique(run_of[held]):
            inside = train[held][run_of[held] == run]
            fit &= (run_of != run) | (train < inside[0] - gap) | (train > inside[-1] + gap)
        fit[held] = False
        if min(fit.sum(), len(held)) < MIN_FOLD_TRS:
            raise DataError(
                f"{len(train)} training TRs are too few for {folds} inner folds with gaps of {gap} TRs; "
                "give more training data, fewer folds or a shorter kernel"
            )
        out.append((train[fit], train[held]))
    return out


def reduced(x: Float, train: Int, n_components: int | None) -> Real:
    """Standardise x [T, P] and keep its first principal components, both fitted on training TRs: [T, <= n]."""
    z = zscore_train(x, train)
    z = z[:, np.any(z[train] != 0, axis=0)]
    if n_components is None or z.shape[1] <= n_components:
        return z
    axes = np.linalg.svd(z[train], full_matrices=False)[2]
    return np.asarray(z @ axes[:n_components].T)


def fir_ridge(
    features: Mapping[str, Float],
    y: Float,
    train: Int,
    validation: Int,
    runs: Sequence[slice],
    n_lags: int,
    gap: int,
    undelayed: Collection[str] = (),
    pca: int | None = 100,
    alphas: Sequence[float] = ALPHAS,
    folds: int = 4,
) -> RidgeResult:
    """Finite-impulse-response ridge from all modalities [T, P] at lags 0 to n_lags - 1 TRs to y [T, V].

    Each modality is standardised and reduced to `pca` components on training TRs. A voxel's penalty has the least
    squared error in blocked cross-validation inside the training TRs, `gap` TRs apart; the refit uses training and
    validation TRs; all TRs are predicted. Modalities in `undelayed` are under an HRF already and get no lags.

    Raises
    ------
    DataError
        If no feature varies, or the training TRs are too few for the folds and gaps.
    """
    bands = _bands(features, train, runs, n_lags, undelayed, pca)
    stacked = [np.concatenate(list(bands.values()), axis=1)]
    return _solve(stacked, y, train, validation, blocked_folds(train, runs, folds, gap), np.ones((1, 1)), alphas)


def banded_ridge(
    features: Mapping[str, Float],
    y: Float,
    train: Int,
    validation: Int,
    runs: Sequence[slice],
    n_lags: int,
    gap: int,
    undelayed: Collection[str] = (),
    pca: int | None = 100,
    alphas: Sequence[float] = ALPHAS,
    folds: int = 4,
    n_candidates: int = 20,
    seed: int = 0,
) -> RidgeResult:
    """FIR ridge with a penalty for each modality and voxel, by random search (Dupre la Tour 2022).

    As `fir_ridge`; besides, `n_candidates` divisions of the weight between the modalities are tried: equal, each
    modality alone, and Dirichlet draws (doi:10.1016/j.neuroimage.2022.119728).
    """
    bands = _bands(features, train, runs, n_lags, undelayed, pca)
    gammas = _candidates(len(bands), n_candidates, seed)
    return _solve(list(bands.values()), y, train, validation, blocked_folds(train, runs, folds, gap), gammas, alphas)


def _bands(
    features: Mapping[str, Float],
    train: Int,
    runs: Sequence[slice],
    n_lags: int,
    undelayed: Collection[str],
    pca: int | None,
) -> dict[str, Single]:
    """The delayed features of each modality, [T, P * L], without modalities that are constant in training."""
    out = {}
    for name, x in features.items():
        z = reduced(x, train, pca).astype(np.float32)
        if z.shape[1]:
            out[name] = np.asarray(z if name in undelayed else delay(z, range(n_lags), runs))
    if not out:
        raise DataError("no feature varies over the training TRs; a ridge needs at least one that does")
    return out


def _candidates(n_bands: int, n: int, seed: int) -> Real:
    """Divisions of the weight between bands, [n, bands]: equal, one band alone, then random."""
    if n_bands == 1:
        return np.ones((1, 1))
    rng = np.random.default_rng(seed)
    n_random = max(n - n_bands - 1, 0)
    concentrations = np.resize([0.3, 1.0], n_random)
    draws = [rng.dirichlet([c] * n_bands) for c in concentrations]
    return np.stack([np.full(n_bands, 1 / n_bands), *np.eye(n_bands), *draws])


def _solve(
    bands: list[Single],
    y: Float,
    train: Int,
    validation: Int,
    folds: list[Fold],
    gammas: Real,
    alphas: Sequence[float],
) -> RidgeResult:
    """Choose gamma and alpha by voxel on the folds, refit on train and validation, predict every TR."""
    fit = np.sort(np.concatenate([train, validation])).astype(np.int64)
    inner = [(np.searchsorted(fit, a), np.searchsorted(fit, b)) for a, b in folds]
    bands = [x / np.sqrt(np.square(x[fit]).sum(1).mean()) for x in bands]
    in_kernel = sum(x.shape[1] for x in bands) > len(fit)
    solve = _solve_kernel if in_kernel else _solve_primal
    target = np.asarray(y, np.float32)[fit]
    penalties = np.asarray(sorted(alphas), np.float32)
    prediction, scales = solve(bands, target, fit, inner, gammas.astype(np.float32), penalties)
    total = scales.sum(0)
    notes = (
        f"{'kernel' if in_kernel else 'primal'} solution, {len(fit)} TRs, {sum(x.shape[1] for x in bands)} features",
        *_edge_notes(1 / total, penalties),
    )
    return RidgeResult(prediction.astype(np.float32), 1 / total, scales / total, notes)


def _edge_notes(alpha: Single, penalties: Single) -> list[str]:
    """Say how many voxels chose an end of the range of penalties."""
    low, high = (np.isclose(alpha, edge, rtol=1e-3).mean() for edge in (penalties[0], penalties[-1]))
    return [f"penalty at the ends of its range: {low:.0%} of voxels at the least, {high:.0%} at the largest"]


def _solve_kernel(
    bands: list[Single], target: Single, fit: Int, inner: list[Fold], gammas: Single, alphas: Single
) -> tuple[Single, Single]:
    """Dual solution: predictions [T, V] and gamma / alpha [bands, V]."""
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    kernels = np.stack([x @ x[fit].T for x in bands])
    with np.errstate(divide="ignore"):  # the logarithm of a band's weight of zero
        log_scales, dual, _, intercept = solve_multiple_kernel_ridge_random_search(
            kernels[:, fit],
            target,
            n_iter=gammas,
            alphas=alphas,
            cv=inner,
            fit_intercept=True,
            return_weights="dual",
            progress_bar=False,
            n_targets_batch=2000,
        )
    scales = np.exp(log_scales)
    prediction = intercept + sum(k @ (dual * s) for k, s in zip(kernels, scales, strict=True))
    return prediction, scales


def _solve_primal(
    bands: list[Single], target: Single, fit: Int, inner: list[Fold], gammas: Single, alphas: Single
) -> tuple[Single, Single]:
    """Primal solution, for more TRs than features; a band's weight is at least 1e-6 (himalaya divides by it)."""
    from himalaya.ridge import solve_group_ridge_random_search

    log_scales, weights, _, intercept = solve_group_ridge_random_search(
        [x[fit] for x in bands],
        target,
        n_iter=np.maximum(gammas, np.float32(1e-6)),
        alphas=alphas,
        cv=inner,
        fit_intercept=True,
        return_weights=True,
        progress_bar=False,
        n_targets_batch=2000,
    )
    return np.concatenate(bands, axis=1) @ weights + intercept, np.exp(log_scales)
