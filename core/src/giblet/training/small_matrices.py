"""Linear algebra of matrices that are small, and rows that stand for many."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from giblet.types import Int

Real = NDArray[np.float64]
MOST_TRS = 2048
"""So many TRs, evenly spaced, stand for all."""
FAINT = 1e-6
"""Components below this share of the first one's variance are none: float32 does not tell them from rounding."""


def one_thread() -> AbstractContextManager[object]:
    """For small matrices: on a busy machine, several threads wait for each other a hundred times as long."""
    return _libraries().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    """NumPy's and what else is loaded: to look for them each time takes longer than the algebra."""
    return ThreadpoolController()


def evenly(n: int, most: int) -> Int:
    """At most so many of n places, evenly spaced."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def leading(alike: Real, most: int) -> tuple[Real, Real]:
    """The largest eigenvalues [k] of a symmetric matrix [n, n], and their axes [n, k]; at most so many, none faint."""
    with one_thread():
        values, axes = (a[..., ::-1][..., :most] for a in np.linalg.eigh(alike))
    there = values > FAINT * max(float(values[0]), np.finfo(float).tiny)
    return values[there], axes[:, there]
