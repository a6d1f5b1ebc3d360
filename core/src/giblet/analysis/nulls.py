"""What a score is worth: the scores of the same predictions out of step with the scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from giblet.analysis.scores import Mask, Real, is_constant, pearson
from giblet.analysis.surrogates import SHIFTED, Complex, surrogate_turns, turned
from giblet.types import Float

VALUES = 1 << 25
"""Of surrogates at once; more only cost memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The mean r over voxels against its null.

    `r_null` [n] is the mean r of each surrogate and `p95` its 95th percentile; `p` and `map_p` [V] are
    (1 + k) / (1 + n). `kind` is "circular shift" or "phase randomised".
    """

    r: float
    r_null: Real
    p: float
    p95: float
    map_p: Real
    kind: str


def shift_null(
    prediction: Float,
    y: Float,
    blocks: Sequence[slice],
    tr_s: float,
    min_shift_s: float = 30.0,
    n: int = 1000,
    seed: int = 0,
    valid: Mask | None = None,
) -> Null:
    """Shift predictions [T, V] circularly against scans [T, V] inside each block, all voxels together.

    Shifts are at least `min_shift_s` either way round the block; all of them are used, or `n` at random. With fewer
    than 40 distinct shifts the predictions are phase-randomised instead, one phase for all voxels
    (Theiler 1992, doi:10.1016/0167-2789(92)90102-S), and `kind` says so. Every score is over the `valid` TRs [T] of
    scans (None: all were measured), whichever TRs of the prediction come to lie there.

    Raises
    ------
    DataError
        If there is no block, or one has fewer than 4 TRs.
    """
    kind, turns = surrogate_turns(blocks, tr_s, min_shift_s, n, seed)
    trs = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    there = np.ones(len(trs), bool) if valid is None else valid[trs]
    within = np.cumsum([0, *(b.stop - b.start for b in blocks)])
    cut = [slice(a, z) for a, z in pairwise(within.tolist())]
    total = np.zeros(len(turns[0]))
    r_map, better = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    step = max(1, VALUES // (len(total) * max(len(trs), 1)))
    for at in range(0, y.shape[1], step):
        some = slice(at, at + step)
        x, target = prediction[trs, some], y[trs, some]
        r_map[some] = pearson(x, target, there)
        maps = _surrogate_maps(x, target, there, cut, turns, shifted=kind == SHIFTED)
        total += maps.sum(1)
        better[some] = (maps >= r_map[some] - 1e-12).sum(0)
    return _judged(float(r_map.mean()), total / y.shape[1], (1 + better) / (1 + len(total)), kind)


def mean_null(people: Sequence[Null]) -> Null:
    """The null of the mean over people, whose predictions were all shifted alike; maps are person by person."""
    return _judged(
        float(np.mean([p.r for p in people])),
        np.mean([p.r_null for p in people], axis=0),
        np.concatenate([p.map_p for p in people]),
        people[0].kind,
    )


def _judged(r: float, r_null: Real, map_p: Real, kind: str) -> Null:
    return Null(r, r_null, p_value(r, r_null), float(np.quantile(r_null, 0.95)), map_p, kind)


def _surrogate_maps(
    x: Float, y: Float, there: Mask, blocks: Sequence[slice], turns: Sequence[Complex], *, shifted: bool
) -> Real:
    """R of every surrogate of x and voxel, [n, V], over the TRs of y that are there, by products of spectra."""
    varies = ~(is_constant(x) | is_constant(y, there))
    centred = np.asarray(x - np.asarray(x, np.float64).mean(0), np.float64)
    weight = there[:, None].astype(np.float64)
    target = (y - np.asarray(y[there], np.float64).mean(0)) * weight
    product = _products(centred, target, blocks, turns)
    if there.all():  # a turn changes neither mean nor variance
        squares = np.square(centred).sum(0)
    else:
        mean = _products(centred, weight, blocks, turns) / there.sum()
        square = _products(centred**2, weight, blocks, turns) if shifted else _squares(centred, weight, blocks, turns)
        squares = np.maximum(square - there.sum() * mean**2, 0)
    scale = np.sqrt(squares * np.square(target).sum(0))
    known = varies & (scale > 0)
    return np.asarray(np.where(known, product / np.where(known, scale, 1.0), 0.0))


def _products(x: Real, y: Real, blocks: Sequence[slice], turns: Sequence[Complex]) -> Real:
    """Sums over TRs of every surrogate of x [T, V] times y [T, V] or [T, 1], [n, V]."""
    total = np.zeros((len(turns[0]), x.shape[1]))
    for block, turn in zip(blocks, turns, strict=True):
        length = block.stop - block.start
        weight = np.full(length // 2 + 1, 2.0 / length)
        weight[0] /= 2
        if length % 2 == 0:
            weight[-1] /= 2
        cross = weight[:, None] * np.fft.rfft(x[block], axis=0) * np.fft.rfft(y[block], axis=0).conj()
        total += turn.real @ cross.real - turn.imag @ cross.imag
    return total


def _squares(x: Real, weight: Real, blocks: Sequence[slice], turns: Sequence[Complex]) -> Real:
    """Weighted sums of squares of every surrogate, [n, V], one by one: those of random phases have no short cut."""
    out = np.zeros((len(turns[0]), x.shape[1]))
    for block, turn in zip(blocks, turns, strict=True):
        for k, one in enumerate(turn):
            out[k] += (weight[block] * np.square(turned(x, block, one))).sum(0)
    return out


def p_value(observed: float, null: Real) -> float:
    """(1 + k) / (1 + n), k surrogates at least as good (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585)."""
    return float((1 + (null >= observed - 1e-12).sum()) / (1 + len(null)))


def fdr(p: Real, q: float = 0.05) -> Mask:
    """Which of the p-values [V] are significant at false discovery rate q (Benjamini & Hochberg 1995)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p) <= q)
