"""What two predictions count: against least squares where much is held out, half each where little is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from giblet.model.shrinkage import best_multiples, products
from giblet.training.stacking import stacked
from hypothesis import given
from hypothesis import strategies as st


def stretches(n, voxels, noise, counts=(0.2, 0.9), seed=0):
    """`products` of n stretches of 4 TRs."""
    rng = np.random.default_rng(seed)
    one, other, wrong = rng.standard_normal((3, n, 4, voxels))
    target = counts[0] * one + counts[1] * other + noise * wrong
    rows = [torch.from_numpy(x) for x in (one, other, target)]
    return np.stack([products(*(x[i] for x in rows)).numpy() for i in range(n)]), rows


def test_much_says_what_least_squares_say():
    parts, rows = stretches(40, 500, 1.0)
    assert stacked(parts) == pytest.approx(best_multiples(*rows), abs=0.005)


def test_little_says_half_each():
    assert stacked(stretches(20, 2, 50.0)[0]) == pytest.approx((0.5, 0.5), abs=0.02)
    assert stacked(stretches(1, 500, 1.0)[0]) == (0.5, 0.5)
    assert stacked(np.zeros((3, 5))) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("n", [2, 4, 6, 14])
def test_few_stretches_do_not_seem_to_know(n):
    """Of noise, counts stay near a half: of most draws, and none is far off."""
    found = np.array([stacked(stretches(n, 1, 30.0, (0.5, 0.5), seed)[0]) for seed in range(60)])
    assert np.median(np.abs(found - 0.5)) < 0.01
    assert np.abs(found - 0.5).max() < 0.1


@given(st.integers(0, 50), st.floats(0.01, 30))
def test_never_below_zero_and_as_many_copies_of_a_voxel_say_no_more(seed, size):
    parts, _ = stretches(12, 10, 3.0, (-1.0, 1.0), seed)
    found = stacked(parts)
    assert min(found) >= 0
    assert stacked(parts * size) == pytest.approx(found, rel=1e-5, abs=1e-8)


def test_a_guess_twice_and_none_at_all_are_no_trouble():
    parts, _ = stretches(20, 100, 1.0, (1.0, 0.0))
    twice = parts[:, [0, 0, 0, 3, 3]]
    assert sum(stacked(twice)) == pytest.approx(1, abs=0.05)
    alone = parts * np.array([1, 0, 0, 1, 0])
    assert stacked(alone)[0] == pytest.approx(1, abs=0.05)
