"""How a check says no, and how far two arrays are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from giblet.types import Array, Features

if TYPE_CHECKING:
    from torch import Tensor

CLOSE = 1e-8
"""Squared difference of two tensors that count as the same, as a share of their mean square."""


class NothingTriedError(Exception):
    """What a check raises where there was nothing that it could try: neither passed nor failed."""


def require(holds: object, message: str) -> None:
    """Fail the check with a message unless something holds; unlike `assert`, under `python -O` too.

    Raises
    ------
    AssertionError
        If it does not hold.
    """
    if not holds:
        raise AssertionError(message)


def require_same(got: Features, want: Features, message: str) -> None:
    """Fail unless two features have the same values, times and timebase."""
    require(got.values.shape == want.values.shape, f"{message}: {got.values.shape} for {want.values.shape}")
    require(np.array_equal(got.values, want.values), f"{message}: other values")
    require(np.array_equal(got.ticks, want.ticks), f"{message}: other times")
    require(got.timebase == want.timebase, f"{message}: timebase {got.timebase} for {want.timebase}")


def require_close(got: Tensor, want: Tensor, message: str) -> None:
    """Fail unless two tensors agree as far as single precision lets them, sums in another order amplified by a net."""
    apart = (got.double() - want.double()).square().mean()
    require(apart <= 1e-8 + CLOSE * want.double().square().mean(), message)


def relative_error(got: Array, want: Array, *, classes: bool) -> float:
    """How wrong `got` is for `want`, both [N, *S]: 0 is right, 1 is as wrong as the best constant of each element.

    Continuous: squared error over the variance in time. Classes: the share that is wrong, over the share that the
    commonest class of each element misses.
    """
    if got.shape != want.shape:
        return float("inf")
    a, b = got.reshape(len(got), -1), want.reshape(len(want), -1)
    if classes:
        error = float((a != b).mean())
        commonest = [np.unique(column, return_counts=True)[1].max() for column in b.T]
        constant = 1 - float(np.mean(commonest)) / len(b)
    else:
        b = b.astype(np.float64)
        error, constant = float(np.square(a - b).mean()), float(b.var(0).mean())
    return error / constant if constant else float("inf") if error else 0.0
