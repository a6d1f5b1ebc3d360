"""How far a mean r would move with other people and other minutes of the same film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from giblet.analysis.scores import Mask, Real, mean_known
from giblet.types import Float

BLOCK_S = 30.0
"""Scans further apart than a hemodynamic response and its autocorrelation count as independent."""
DRAWS = 1000
LEVEL = 0.9
LEAST = 0.25
"""Of the TRs of somebody's fullest piece: a draw with fewer of theirs says nothing of them. Whole pieces have more."""
VOXELS = 4000
"""Voxels at once; more only cost memory."""
Interval = tuple[float, float]
Seed = int | Sequence[int]


def pieces(blocks: Sequence[slice], tr_s: float, block_s: float = BLOCK_S) -> list[slice]:
    """Cut test blocks into pieces of about `block_s` seconds, none shorter than half of that where a block allows."""
    out = []
    for b in blocks:
        n = max(round((b.stop - b.start) * tr_s / block_s), 1)
        edges = np.linspace(b.start, b.stop, n + 1).round().astype(int)
        out += [slice(int(a), int(z)) for a, z in pairwise(edges) if z > a]
    return out


def measured_pieces(blocks: Sequence[slice], tr_s: float, valid: Sequence[Mask]) -> list[slice]:
    """The pieces of test blocks in which anybody was measured, as people's `valid` [T] say."""
    return [c for c in pieces(blocks, tr_s) if any(there[c].any() for there in valid)]


def draw_counts(n_pieces: int, draws: int, seed: Seed) -> Real:
    """How often each piece comes up when as many are drawn with replacement, [draws, pieces]."""
    return np.random.default_rng(seed).multinomial(n_pieces, np.full(n_pieces, 1 / n_pieces), draws).astype(np.float64)


def resampled_r(guess: Float, y: Float, valid: Mask, cut: Sequence[slice], counts: Real) -> Real:
    """Mean r over voxels between guess and y [T, V], on each resampling of the pieces: [draws].

    Only `valid` TRs [T] count; a voxel that is constant has r = 0, and a draw that has hardly any of them is NaN.
    """
    total = np.zeros(len(counts))
    for at in range(0, y.shape[1], VOXELS):
        some = slice(at, at + VOXELS)
        sums = np.stack([_moments(guess[c, some][valid[c]], y[c, some][valid[c]]) for c in cut], axis=1)
        n, x, t, xx, tt, xt = np.einsum("db,mbv->mdv", counts, sums, optimize=True)
        n = np.maximum(n, 1)
        spread = np.maximum(xx - x * x / n, 0) * np.maximum(tt - t * t / n, 0)
        known = spread > 1e-12 * np.maximum(xx * tt, 1e-300)
        total += np.where(known, (xt - x * t / n) / np.sqrt(np.where(known, spread, 1)), 0).sum(1)
    there = np.array([valid[c].sum() for c in cut])
    few = (counts > 0) @ there < LEAST * there.max()
    return np.where(few, np.nan, total / y.shape[1])


def _moments(guess: Float, y: Float) -> Real:
    """Count, sums, squares and products over the TRs of a piece, [6, V]."""
    a, b = np.asarray(guess, np.float64), np.asarray(y, np.float64)
    return np.stack([np.full(a.shape[1], len(a)), a.sum(0), b.sum(0), (a * a).sum(0), (b * b).sum(0), (a * b).sum(0)])


def bootstrap(
    methods: Mapping[str, Mapping[str, Float]],
    y: Mapping[str, Float],
    valid: Mapping[str, Mask],
    people: Sequence[str],
    cut: Sequence[slice],
    seed: Seed,
) -> dict[str, Real]:
    """Mean r of each method and person on resampled pieces of the test blocks, `{method: [S, draws]}`.

    Draws are the same for all methods and people, so that differences between them are paired. NaN: a draw has nothing
    of that person.
    """
    counts = draw_counts(len(cut), DRAWS, seed)
    return {
        m: np.stack([resampled_r(guess[s], y[s], valid[s], cut, counts) for s in people])
        for m, guess in methods.items()
    }


def interval(draws: Real, seed: int, level: float = LEVEL) -> Interval:
    """Percentile interval of the mean over people of draws [S, n], people resampled along with the blocks.

    Of folds [K, S, n] it is that of the mean over folds of this mean. NaN is left out of the mean over people; a draw
    (of a fold) of which nobody is left counts nowhere.
    """
    rng = np.random.default_rng(seed)
    people, n = draws.shape[-2:]
    who = rng.integers(0, people, (n, people))
    means = mean_known(draws[..., who, np.arange(n)[:, None]], -1).reshape(-1, n).mean(0)
    low, high = np.quantile(means[~np.isnan(means)], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
