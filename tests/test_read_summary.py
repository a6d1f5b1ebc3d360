"""The plain features that come back from scans, as the summary that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.config import ModelConfig
from giblet.model import Projection
from giblet.training.codes import fit_projection

RNG = np.random.default_rng(0)
CODE = RNG.standard_normal((40, 12)).astype(np.float32)
SUMMARY = (RNG.standard_normal((40, 5)) * [1, 10, 0.1, 3, 1] + [5, -3, 0, 2, 1]).astype(np.float32)


def test_what_comes_back_tells_the_summary_again():
    """With as many components as there are columns nothing is lost; what is shrunk to 0 is the training mean."""
    found = fit_projection([(CODE, SUMMARY)], [np.arange(40)], ModelConfig())
    _, back, _ = found.apply(CODE, SUMMARY)
    np.testing.assert_allclose(found.summary(back), SUMMARY, atol=1e-3)
    np.testing.assert_allclose(found.summary(0 * back), np.tile(SUMMARY.mean(0), (40, 1)), atol=1e-4)


def test_a_code_alone_tells_no_summary():
    found = Projection(np.zeros(12), np.ones(12))
    assert found.summary(CODE) is None


@pytest.mark.parametrize("groups", [(60, 1), (1, 60)])
def test_a_group_of_one_number_counts_as_much_as_a_group_of_many(groups):
    """The one number is among what the trunk reads, which it hardly is where all columns count alike."""
    rng = np.random.default_rng(1)
    many, one = rng.standard_normal((200, 60)).astype(np.float32), rng.standard_normal((200, 1)).astype(np.float32)
    rows = np.concatenate([many, one] if groups[0] > 1 else [one, many], 1)
    code = rng.standard_normal((200, 12)).astype(np.float32)

    def explained(named):
        inputs, _, _ = fit_projection([(code, rows)], [np.arange(200)], ModelConfig(input_components=4), named).apply(
            code, rows
        )
        guess = inputs @ np.linalg.lstsq(inputs, one, rcond=None)[0]
        return float(np.square(guess).sum() / np.square(one).sum())

    assert explained(groups) > 0.9
    assert explained(()) < 0.3


def test_code_and_summary_count_alike_among_the_components():
    """However many columns a code has, a summary of a few is not lost beside it."""
    rng = np.random.default_rng(2)
    code, rows = (rng.standard_normal((300, n)).astype(np.float32) for n in (100, 2))
    inputs, _, _ = fit_projection([(code, rows)], [np.arange(300)], ModelConfig(input_components=2)).apply(code, rows)
    guess = inputs @ np.linalg.lstsq(inputs, rows, rcond=None)[0]
    assert np.square(guess).sum() / np.square(rows).sum() > 0.9
