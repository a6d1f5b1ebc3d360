"""Ridge with a penalty for each band of features, solved by himalaya in the cheaper of two forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.types import Int

Single = NDArray[np.float32]
Fold = tuple[Int, Int]
Solution = tuple[Iterator[Single], Single, Single]
"""What each band adds to the prediction, [T, V] each; the intercept [V]; and gamma / alpha [bands, V]."""


def is_wide(bands: Sequence[Single], fit: Int) -> bool:
    """Whether there are more features than TRs to fit them on."""
    return sum(x.shape[1] for x in bands) > len(fit)


def places(train: Int, validation: Int, folds: Sequence[Fold]) -> tuple[Int, list[Fold]]:
    """The TRs to refit on, and the folds as places among them."""
    fit = np.sort(np.concatenate([train, validation])).astype(np.int64)
    return fit, [(np.searchsorted(fit, a), np.searchsorted(fit, b)) for a, b in folds]


def scaled(bands: Sequence[Single], fit: Int) -> list[Single]:
    """Bands [T, P] with a mean squared norm of 1 over the TRs of the fit."""
    return [x / np.sqrt(np.square(x[fit]).sum(1).mean()) for x in bands]


def solver(bands: Sequence[Single], fit: Int) -> Callable[..., Solution]:
    """The cheaper of the two solutions, which are the same."""
    return _solve_kernel if is_wide(bands, fit) else _solve_primal


def _solve_kernel(
    bands: list[Single], target: Single, fit: Int, inner: list[Fold], gammas: Single, alphas: Single
) -> Solution:
    """Dual solution, for more features than TRs."""
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
    return (k @ (dual * s) for k, s in zip(kernels, scales, strict=True)), intercept, scales


def _solve_primal(
    bands: list[Single], target: Single, fit: Int, inner: list[Fold], gammas: Single, alphas: Single
) -> Solution:
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
    by_band = np.split(weights, np.cumsum([x.shape[1] for x in bands])[:-1])
    return (x @ w for x, w in zip(bands, by_band, strict=True)), intercept, np.exp(log_scales)
