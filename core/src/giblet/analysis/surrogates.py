"""The same series out of step: turned circularly inside blocks, or with random phases where blocks are short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.scores import Real
from giblet.errors import DataError
from giblet.types import Float

MIN_DISTINCT = 40
"""Fewer shifts than that say too little: phases are random instead."""
SHIFTED, RANDOMISED = "circular shift", "phase randomised"
Complex = NDArray[np.complex128]


def surrogate_turns(
    blocks: Sequence[slice], tr_s: float, min_shift_s: float, n: int, seed: int
) -> tuple[str, list[Complex]]:
    """What to multiply the spectrum of each block with, [n, block // 2 + 1] a block, and the kind of surrogate."""
    lengths = [b.stop - b.start for b in blocks]
    if not lengths or min(lengths) < 4:
        raise DataError("a null needs blocks of at least 4 TRs; hold out a longer test block")
    shifts = draw_shifts(lengths, math.ceil(min_shift_s / tr_s - 1e-9), n, seed)
    if shifts is None:
        return RANDOMISED, random_phases(lengths, n, seed)
    turns = []
    for length, by in zip(lengths, shifts.T, strict=True):
        frequency = np.arange(length // 2 + 1)
        turns.append(np.exp(-2j * np.pi * ((by[:, None] * frequency) % length) / length))
    return SHIFTED, turns


def draw_shifts(lengths: Sequence[int], least: int, n: int, seed: int) -> NDArray[np.int64] | None:
    """Circular shifts in TRs, [n, blocks], at least `least` either way; None with fewer than 40 distinct ones."""
    legal = [np.arange(least, length - least + 1) for length in lengths]
    distinct = math.prod(len(x) for x in legal)
    if distinct < MIN_DISTINCT:
        return None
    if distinct <= n:
        return np.array(list(product(*legal)), np.int64)
    rng = np.random.default_rng(seed)
    if len(legal) == 1:
        return rng.choice(legal[0], n, replace=False)[:, None]
    return np.stack([rng.choice(x, n) for x in legal], axis=1)


def random_phases(lengths: Sequence[int], n: int, seed: int) -> list[Complex]:
    """Random unit phases, [n, length // 2 + 1] a block; the mean keeps its sign and the Nyquist term stays real."""
    rng = np.random.default_rng(seed)
    turns = []
    for length in lengths:
        turn = np.exp(2j * np.pi * rng.random((n, length // 2 + 1)))
        turn[:, 0] = 1
        if length % 2 == 0:
            turn[:, -1] = rng.choice([-1.0, 1.0], n)
        turns.append(turn)
    return turns


def turned(x: Float, block: slice, turn: Complex) -> Real:
    """One surrogate of a block: x[block] [t, ...] with its spectrum multiplied by `turn` [t // 2 + 1]."""
    spectrum = np.fft.rfft(np.asarray(x[block], np.float64), axis=0)
    spectrum *= turn.reshape(-1, *[1] * (x.ndim - 1))
    return np.fft.irfft(spectrum, block.stop - block.start, axis=0)
