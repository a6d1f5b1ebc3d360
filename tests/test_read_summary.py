"""The plain features that come back from scans, as the summary that they stand for."""

from __future__ import annotations

import numpy as np
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
