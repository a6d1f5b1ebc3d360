"""Whether an effect holds in the population that a few people were drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.analysis.scores import Real

EXACT_UP_TO = 12
"""People up to whom all 2^S sign flips are done."""
RANDOM_FLIPS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class SignFlip:
    """One-sided p of each effect [C], alone and corrected over all of them by the maximum; the least that p can be."""

    p: Real
    p_corrected: Real
    least_p: float


def sign_flip(effects: Real, seed: int = 0) -> SignFlip:
    """Test whether effects [S, C] of S people are above 0 on average, by flipping the signs of people.

    Each flip turns all effects of a person together, and the largest t over effects is what a t must exceed to be
    significant among them (Nichols & Holmes 2002, doi:10.1002/hbm.1058). All 2^S flips are done for up to 12 people,
    else 4,096, the data as they are among them; p is the share of flips whose t is at least as large.
    """
    flips = _flips(len(effects), seed)
    square = np.square(effects).sum(0)
    t = _t(effects.sum(0), square, len(effects))
    flipped = _t(flips @ effects, square, len(effects))
    slack = 1e-9 * np.maximum(1, np.abs(t))
    return SignFlip(
        p=(flipped >= t - slack).mean(0),
        p_corrected=(flipped.max(1)[:, None] >= t - slack).mean(0),
        least_p=1 / len(flips),
    )


def _flips(people: int, seed: int) -> Real:
    """Signs [n, S], the first all positive."""
    if people <= EXACT_UP_TO:
        bits = np.arange(2**people)[:, None] >> np.arange(people)
        return np.asarray(1.0 - 2.0 * (bits & 1))
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (RANDOM_FLIPS, people))
    signs[0] = 1
    return signs


def _t(total: Real, square: Real, people: int) -> Real:
    """One-sample t from the sum over people and the sum of squares, which no flip changes."""
    mean = total / people
    variance = np.maximum(square / people - mean**2, 1e-12 * np.maximum(square / people, 1e-300))
    return np.asarray(mean / np.sqrt(variance))
