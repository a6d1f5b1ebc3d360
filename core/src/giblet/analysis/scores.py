"""Scores of a prediction, one a voxel, and the z-score that training TRs define."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import Array, Float, Int

Mask = NDArray[np.bool_]
Real = NDArray[np.float64]

_ROUNDING = 1e-13  # spread below this part of the mean is rounding, not signal


def _finite(x: Array, valid: Mask | None) -> Real:
    """The valid rows as float64."""
    rows = np.asarray(x if valid is None else x[valid], np.float64)
    if not np.isfinite(rows).all():
        raise DataError("a score needs finite values; mask the TRs that are missing with `valid`, or leave them out")
    return rows


def _centred(x: Array, valid: Mask | None) -> tuple[Real, Real]:
    """Rows minus their mean, and each column's norm, 0 where the column is constant."""
    rows = _finite(x, valid)
    if not len(rows):
        raise DataError("a score needs at least one valid TR")
    mean = rows.mean(0)
    rows = rows - mean
    norm = np.sqrt(np.square(rows).sum(0))
    return rows, np.where(norm > _ROUNDING * np.abs(mean) * np.sqrt(len(rows)), norm, 0.0)


def is_constant(x: Float, valid: Mask | None = None) -> Mask:
    """Which columns of x [T, V] do not vary over the valid TRs [T]: their scores are 0 by convention, [V]."""
    return np.asarray(_centred(x, valid)[1] == 0)


def pearson(a: Float, b: Float, valid: Mask | None = None) -> Real:
    """Correlate the columns of a and b, [T, V] -> [V], over the `valid` TRs [T].

    Never NaN: a column that is constant in a or b has r = 0 (`is_constant` tells which).

    Raises
    ------
    DataError
        If the shapes differ, a valid value is not finite, or no TR is valid.
    """
    if a.shape != b.shape:
        raise DataError(f"cannot correlate arrays of shapes {a.shape} and {b.shape}; they must be the same")
    (x, x_norm), (y, y_norm) = _centred(a, valid), _centred(b, valid)
    scale = x_norm * y_norm
    r = (x * y).sum(0) / np.where(scale > 0, scale, 1.0)
    return np.asarray(np.clip(np.where(scale > 0, r, 0.0), -1, 1))


def mean_known(x: Real, axis: int | None = None) -> Real:
    """The mean over an axis (None: of all) of what is not NaN, and NaN where there is nothing else."""
    known = ~np.isnan(x)
    n = known.sum(axis)
    return np.where(n > 0, np.where(known, x, 0).sum(axis) / np.maximum(n, 1), np.nan)


def zscore_train(y: Float, train: Int | slice | Mask) -> Real:
    """Z-score all TRs of y [T, V] by the mean and SD of its training TRs; columns constant in training become 0."""
    rows, norm = _centred(y[train], None)
    mean = np.asarray(y[train], np.float64).mean(0)
    sd = norm / np.sqrt(len(rows))
    return np.asarray(np.where(sd > 0, (y - mean) / np.where(sd > 0, sd, 1.0), 0.0))
