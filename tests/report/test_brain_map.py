"""The maps of a page: which rows there are, and what colour means in each."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.report.brain import GAIN, WEIGHTS, best_ridge, limit, mosaic, rows_of

MAPS = {"r_group": np.array([0.1, 0.5]), "ridge_group": np.array([0.0, 0.6]), "ceiling_group": np.array([0.3, 0.9])}


def test_weights_have_a_row_and_a_scale_of_their_own():
    rows = rows_of(MAPS | {"weight_group": np.array([2.0, 7.0])})
    assert list(rows) == ["model r", "ceiling", GAIN, WEIGHTS]
    assert limit(rows, WEIGHTS) == pytest.approx(7, rel=0.01)
    assert limit(rows, GAIN) == pytest.approx(0.1, rel=0.01)
    assert limit(rows, "model r") == limit(rows, "ceiling") == pytest.approx(0.9, rel=0.02)


def test_what_is_absent_or_empty_has_no_row():
    assert list(rows_of({"r_group": MAPS["r_group"]})) == ["model r"]
    assert list(rows_of(MAPS | {"ceiling_group": np.full(2, np.nan)})) == ["model r", GAIN]


def test_the_model_is_compared_with_the_best_ridge():
    maps = MAPS | {"banded_group": np.array([0.4, 0.5]), "hrf_banded_group": np.array([0.3, 0.7])}
    assert best_ridge(maps) == "hrf_banded_group"
    np.testing.assert_allclose(rows_of(maps)[GAIN], [-0.2, -0.2])
    assert best_ridge({"r_group": MAPS["r_group"]}) is None


@pytest.mark.parametrize("affine", [np.diag([3.0, 3, 3, 1]), np.diag([-3.0, 3, 3, 1])])
def test_what_is_right_is_on_the_side_of_the_r(affine):
    """Whichever way the scans' first axis runs."""
    mask = np.ones((6, 5, 4), bool)
    affine[0, 3] = -2.5 * affine[0, 0]
    x = affine[0, 0] * np.argwhere(mask)[:, 0] + affine[0, 3]
    figure = mosaic({"mask": mask, "affine": affine}, {"right": (x > 0).astype(float)})
    axes = figure.axes[0]
    shown = np.asarray(axes.images[0].get_array())
    assert (shown[:, :3] == 0).all()
    assert (shown[:, 3:] == 1).all()
    left, right = axes.get_xlim()
    assert left < right
    assert {t.get_text(): t.get_position()[0] for t in axes.texts} == {"L": 0, "R": 1}
