"""What a score is worth: the scores of the same predictions out of step with the scans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.scores import Mask, Real, is_constant, pearson
from giblet.errors import DataError
from giblet.types import Float

MIN_DISTINCT = 40

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The mean r over voxels against its null.

    `r_null` [n] is the mean r of each surrogate and `p95` its 95th percentile; `p` and `map_p` [V] are
    (1 + k) / (1 + n); `max_null` [n] is each surrogate's largest r in the map, `max_p95` the threshold from it.
    `kind` is "circular shift" or "phase randomised".
    """

    r: float
    r_null: Real
    p: float
    p95: float
    map_p: Real
    max_null: Real
    max_p95: float
    kind: str


def shift_null(
    prediction: Float,
    y: Float,
    blocks: Sequence[slice],
    tr_s: float,
    min_shift_s: float = 30.0,
    n: int = 1000,
    seed: int = 0,
) -> Null:
    """Shift predictions [T, V] circularly against scans [T, V] inside each block, all voxels together.

    Shifts are at least `min_shift_s` either way round the block; all of them are used, or `n` at random. With fewer
    than 40 distinct shifts the predictions are phase-randomised instead, one phase for all voxels
    (Theiler 1992, doi:10.1016/0167-2789(92)90102-S), and `kind` says so.
    """
    trs = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    r_map = pearson(prediction[trs], y[trs])
    kind, turns = surrogate_turns(blocks, tr_s, min_shift_s, n, seed)
    maps = _surrogate_maps(prediction, y, blocks, trs, turns)
    r_null, max_null = maps.mean(1), maps.max(1)
    r = float(r_map.mean())
    return Null(
        r=r,
        r_null=r_null,
        p=p_value(r, r_null),
        p95=float(np.quantile(r_null, 0.95)),
        map_p=(1 + (maps >= r_map - 1e-12).sum(0)) / (1 + len(maps)),
        max_null=max_null,
        max_p95=float(np.quantile(max_null, 0.95)),
        kind=kind,
    )


def _surrogate_maps(
    prediction: Float, y: Float, blocks: Sequence[slice], trs: NDArray[np.int64], turns: Sequence[Complex]
) -> Real:
    """R of every surrogate and voxel, [n, V], by products of spectra (a turn changes neither mean nor variance)."""
    x, target = (np.asarray(a, np.float64) - np.asarray(a[trs], np.float64).mean(0) for a in (prediction, y))
    scale = np.sqrt(np.square(x[trs]).sum(0) * np.square(target[trs]).sum(0))
    total = np.zeros((len(turns[0]), x.shape[1]))
    for block, turn in zip(blocks, turns, strict=True):
        length = block.stop - block.start
        weight = np.full(length // 2 + 1, 2.0 / length)
        weight[0] /= 2
        if length % 2 == 0:
            weight[-1] /= 2
        cross = weight[:, None] * np.fft.rfft(x[block], axis=0) * np.fft.rfft(target[block], axis=0).conj()
        total += turn.real @ cross.real - turn.imag @ cross.imag
    varies = ~(is_constant(prediction[trs]) | is_constant(y[trs]))
    return np.asarray(np.where(varies, total / np.where(varies, scale, 1.0), 0.0))


def surrogate_turns(
    blocks: Sequence[slice], tr_s: float, min_shift_s: float, n: int, seed: int
) -> tuple[str, list[Complex]]:
    """What to multiply the spectrum of each block with, [n, block // 2 + 1] a block, and the kind of surrogate."""
    lengths = [b.stop - b.start for b in blocks]
    if not lengths or min(lengths) < 4:
        raise DataError("a null needs blocks of at least 4 TRs; hold out a longer test block")
    shifts = draw_shifts(lengths, math.ceil(min_shift_s / tr_s - 1e-9), n, seed)
    if shifts is None:
        return "phase randomised", random_phases(lengths, n, seed)
    turns = []
    for length, by in zip(lengths, shifts.T, strict=True):
        frequency = np.arange(length // 2 + 1)
        turns.append(np.exp(-2j * np.pi * ((by[:, None] * frequency) % length) / length))
    return "circular shift", turns


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


def p_value(observed: float, null: Real) -> float:
    """(1 + k) / (1 + n), k surrogates at least as good (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def fdr(p: Real, q: float = 0.05) -> Mask:
    """Which of the p-values [V] are significant at false discovery rate q (Benjamini & Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p) <= q)
