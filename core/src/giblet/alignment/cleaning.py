"""Cleaning that uses no labels: drift and confounds leave a block of scans in one joint regression."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import Array

COLUMNS_AT_ONCE = 8192
ROUNDING = 1e-10  # what is left of a column below this share of its norm is rounding, not signal


def cosine_drift(n: int, tr_s: float, high_pass_s: float) -> NDArray[np.float64]:
    """Discrete cosines slower than one cycle in `high_pass_s` seconds, [n, K], K = floor(2 n tr_s / high_pass_s).

    The basis of SPM (Friston et al. 2000, doi:10.1006/nimg.2000.0609), as nilearn builds it.
    """
    order = min(n - 1, int(np.floor(2 * n * tr_s / high_pass_s)))
    k = np.arange(1, order + 1)
    return np.sqrt(2 / n) * np.cos(np.pi / n * (np.arange(n)[:, None] + 0.5) * k)


def clean(
    y: Array,
    blocks: Sequence[slice],
    tr_s: float,
    high_pass_s: float | None = 128.0,
    detrend: bool = True,
    confounds: Array | None = None,
) -> Array:
    """Residuals of [T, V] after a constant, a linear trend, slow cosines and confounds [T, C], jointly, a block apart.

    A block is a contiguous stretch of one run that belongs to one split, so nothing estimated in a block touches
    another. TRs outside all blocks are 0. Joint, because filtering first and regressing then brings back what was
    filtered out (Lindquist et al. 2019, doi:10.1002/hbm.24528). `high_pass_s=None` keeps slow drifts; 128 s is SPM's.
    A column that the regressors explain wholly comes out as exact zeros. The dtype is that of `y` (at least float32).

    Raises
    ------
    DataError
        If a block is shorter than its regressors are many, two blocks overlap, or a confound is not finite.
    """
    if high_pass_s is not None and not high_pass_s > 0:
        raise DataError(f"a high-pass period of {high_pass_s} s is not positive; give seconds such as 128, or None")
    out = np.zeros(y.shape, np.result_type(y.dtype, np.float32))
    for start, stop in _bounds(blocks, len(y)):
        design = _design(start, stop, tr_s, high_pass_s, detrend, confounds)
        for first in range(0, y.shape[1], COLUMNS_AT_ONCE):
            part = np.s_[start:stop, first : first + COLUMNS_AT_ONCE]
            out[part] = _residual(y[part].astype(np.float64), design)
    return out


def scale_train(y: Array, train: Sequence[slice]) -> Array:
    """Divide each column of [T, V] by its SD over the training TRs; columns without variance there become 0.

    Raises
    ------
    DataError
        If there are fewer than two training TRs.
    """
    rows = np.concatenate([np.arange(len(y))[part] for part in train] or [np.zeros(0, np.int64)])
    if len(rows) < 2:
        raise DataError(f"{len(rows)} training TRs have no standard deviation; give at least 2")
    sd = y[rows].std(0, dtype=np.float64)
    gain = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    return np.asarray(y * gain.astype(np.result_type(y.dtype, np.float32)))


def _bounds(blocks: Sequence[slice], n: int) -> list[tuple[int, int]]:
    bounds = sorted(block.indices(n)[:2] for block in blocks)
    for (start, stop), (following, _) in pairwise(bounds):
        if following < stop:
            raise DataError(f"the blocks {start}:{stop} and {following}: overlap; a TR belongs to one block")
    return [(start, stop) for start, stop in bounds if stop > start]


def _design(
    start: int, stop: int, tr_s: float, high_pass_s: float | None, detrend: bool, confounds: Array | None
) -> NDArray[np.float64]:
    """An orthonormal basis of everything that leaves one block, [n, K]."""
    n = stop - start
    columns = [np.ones((n, 1))]
    if detrend:
        columns.append(np.linspace(-1, 1, n)[:, None])
    if high_pass_s is not None:
        columns.append(cosine_drift(n, tr_s, high_pass_s))
    if confounds is not None:
        columns.append(_confounds(confounds[start:stop]))
    x = np.concatenate(columns, axis=1)
    if x.shape[1] >= n:
        raise DataError(
            f"the block of TRs {start}:{stop} is too short to clean: {n} TRs, {x.shape[1]} regressors; "
            "take longer blocks, fewer confounds or a longer high_pass_s"
        )
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    return u[:, s > s[0] * n * np.finfo(float).eps]


def _confounds(values: Array) -> NDArray[np.float64]:
    """Confounds of one block [n, C], centred and of unit norm, so that their units do not decide what has rank."""
    x = np.asarray(values, np.float64)
    if bad := int(np.count_nonzero(~np.isfinite(x))):
        raise DataError(f"the confounds hold {bad} values that are not finite; fill or drop those columns first")
    x = x - x.mean(0)
    norm = np.linalg.norm(x, axis=0)
    return x[:, norm > 0] / norm[norm > 0]


def _residual(y: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    left = y - basis @ (basis.T @ y)
    left[:, np.linalg.norm(left, axis=0) <= ROUNDING * np.linalg.norm(y, axis=0)] = 0
    return left
