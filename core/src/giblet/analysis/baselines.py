"""Linear baselines on the same features and split: FIR ridge and banded ridge (himalaya)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from giblet.analysis.scores import Real, is_constant, zscore_train
from giblet.analysis.solvers import Fold, Single, is_wide, places, scaled, solver
from giblet.errors import DataError
from giblet.types import Float, Int

ALPHAS = tuple(float(a) for a in np.logspace(-2, 4, 10))
MIN_FOLD_TRS = 10
FOLDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class RidgeResult:
    """What a ridge predicts for every TR, [T, V], with its penalty [V] and the weight of each band [bands, V].

    Penalties are relative to features whose mean squared norm a training TR is 1.
    """

    prediction: Single
    alpha: Single
    band_weights: Single
    notes: tuple[str, ...]


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


def inner_folds(train: Int, runs: Sequence[slice], gap: int) -> int:
    """As many inner folds for the penalties as the training TRs allow, 4 at most and 2 at least.

    Raises
    ------
    DataError
        If not even two folds fit.
    """
    for folds in range(FOLDS, 2, -1):
        with suppress(DataError):
            blocked_folds(train, runs, folds, gap)
            return folds
    blocked_folds(train, runs, 2, gap)
    return 2


def reduced(x: Float, train: Int, n_components: int | None) -> Real:
    """Standardise x [T, P] and keep its first principal components, both fitted on training TRs: [T, <= n].

    None takes x as it is, centred: columns that are components already keep their relative sizes.
    """
    if n_components is None:
        z = np.asarray(x - np.asarray(x[train], np.float64).mean(0))
        return z[:, ~is_constant(x[train])]
    z = zscore_train(x, train)
    z = z[:, np.any(z[train] != 0, axis=0)]
    if z.shape[1] <= n_components:
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
    folds: int = FOLDS,
    clean: Callable[[Float], Float] = np.copy,
) -> RidgeResult:
    """Finite-impulse-response ridge from all modalities [T, P] at lags 0 to n_lags - 1 TRs to y [T, V].

    Each modality is standardised and reduced to `pca` components on training TRs. A voxel's penalty has the least
    squared error in blocked cross-validation inside the training TRs, `gap` TRs apart; the refit uses training and
    validation TRs; all TRs are predicted. Modalities in `undelayed` are under an HRF already and get no lags. `clean`
    takes out of the design what was taken out of the scans.

    Raises
    ------
    DataError
        If no feature varies, or the training TRs are too few for the folds and gaps.
    """
    bands = _bands(features, train, runs, n_lags, undelayed, pca, clean)
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
    folds: int = FOLDS,
    n_candidates: int = 20,
    seed: int = 0,
    clean: Callable[[Float], Float] = np.copy,
) -> RidgeResult:
    """FIR ridge with a penalty for each modality and voxel, by random search (Dupre la Tour 2022).

    As `fir_ridge`; besides, `n_candidates` divisions of the weight between the modalities are tried: equal, each
    modality alone, and Dirichlet draws (doi:10.1016/j.neuroimage.2022.119728).
    """
    bands = _bands(features, train, runs, n_lags, undelayed, pca, clean)
    gammas = _candidates(len(bands), n_candidates, seed)
    return _solve(list(bands.values()), y, train, validation, blocked_folds(train, runs, folds, gap), gammas, alphas)


def banded_parts(
    bands: Mapping[str, Float],
    y: Float,
    train: Int,
    validation: Int,
    rows: Int,
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHAS,
    n_candidates: int = 20,
    seed: int = 0,
    rid: Callable[[Float], Float] = np.copy,
) -> dict[str, Single]:
    """What each band [T, P] adds to the prediction of y [T, V] at the TRs `rows`, by banded ridge: `{band: [n, V]}`.

    Bands are taken as they are: delayed already, or under a hemodynamic response. `folds` are those of `blocked_folds`;
    `rid` takes out of predictions [T, V] what left y; the rest is as in `banded_ridge`.
    """
    gammas = _candidates(len(bands), n_candidates, seed).astype(np.float32)
    fit, inner = places(train, validation, folds)
    columns = scaled([np.asarray(x, np.float32) for x in bands.values()], fit)
    target, penalties = np.asarray(y, np.float32)[fit], np.asarray(sorted(alphas), np.float32)
    parts, _, _ = solver(columns, fit)(columns, target, fit, inner, gammas, penalties)
    return {name: rid(part)[rows].astype(np.float32) for name, part in zip(bands, parts, strict=True)}


def _bands(
    features: Mapping[str, Float],
    train: Int,
    runs: Sequence[slice],
    n_lags: int,
    undelayed: Collection[str],
    pca: int | None,
    clean: Callable[[Float], Float],
) -> dict[str, Single]:
    """The delayed features of each modality, [T, P * L], without modalities that are constant in training."""
    out = {}
    for name, x in features.items():
        z = reduced(x, train, pca).astype(np.float32)
        if z.shape[1]:
            out[name] = np.asarray(clean(z if name in undelayed else delay(z, range(n_lags), runs)), np.float32)
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
    fit, inner = places(train, validation, folds)
    bands = scaled(bands, fit)
    solve = solver(bands, fit)
    target = np.asarray(y, np.float32)[fit]
    penalties = np.asarray(sorted(alphas), np.float32)
    parts, intercept, scales = solve(bands, target, fit, inner, gammas.astype(np.float32), penalties)
    prediction = intercept + sum(parts)
    total = scales.sum(0)
    form, width = "kernel" if is_wide(bands, fit) else "primal", sum(x.shape[1] for x in bands)
    notes = (
        f"{form} solution, {len(fit)} TRs, {width} features",
        *_edge_notes(1 / total, penalties),
    )
    return RidgeResult(prediction.astype(np.float32), 1 / total, scales / total, notes)


def _edge_notes(alpha: Single, penalties: Single) -> list[str]:
    """Say how many voxels chose an end of the range of penalties."""
    low, high = (np.isclose(alpha, edge, rtol=1e-3).mean() for edge in (penalties[0], penalties[-1]))
    return [f"penalty at the ends of its range: {low:.0%} of voxels at the least, {high:.0%} at the largest"]
