"""The plain features that come back from scans, as the summary that they stand for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from giblet.config import ModelConfig
from giblet.errors import DataError, PluginError
from giblet.model import Projection
from giblet.training.codes import fit_projection, groups_of, leading_components

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


def test_signs_of_components_do_not_hang_on_how_they_were_decomposed(monkeypatch):
    """With other numbers of threads a decomposition gives other signs."""
    before, svd = leading_components(SUMMARY, 3), np.linalg.svd

    def flipped(rows, full_matrices):
        u, s, basis = svd(rows, full_matrices=full_matrices)
        return -u, s, -basis

    monkeypatch.setattr(np.linalg, "svd", flipped)
    np.testing.assert_array_equal(leading_components(SUMMARY, 3), before)


def test_what_does_not_vary_takes_no_weight_from_what_does():
    """Still columns of a group, and dead units of a code, count as if they were not there."""
    rng = np.random.default_rng(3)
    code, rows = (rng.standard_normal((300, n)).astype(np.float32) for n in (4, 6))
    still = np.concatenate([rows[:, :3], np.ones((300, 50), np.float32), rows[:, 3:]], 1)
    dead = np.concatenate([code, np.zeros((300, 60), np.float32)], 1)
    config = ModelConfig(input_components=10)
    plain = fit_projection([(code, rows)], [np.arange(300)], config, [3, 3]).apply(code, rows)[0]
    padded = fit_projection([(dead, still)], [np.arange(300)], config, [53, 3]).apply(dead, still)[0]
    np.testing.assert_allclose(np.abs(padded), np.abs(plain), atol=1e-3)


def test_what_is_read_back_counts_alike_part_by_part():
    """However many columns a code has, and however many of them are dead, it weighs as much as the plain features."""
    rng = np.random.default_rng(4)
    code = np.concatenate([rng.standard_normal((300, 100)), np.zeros((300, 28))], 1).astype(np.float32)
    rows = (rng.standard_normal((300, 3)) * [1, 9, 1]).astype(np.float32)
    found = fit_projection([(code, rows)], [np.arange(300)], ModelConfig(), [3])
    _, back, _ = found.apply(code, rows)
    weighed = (back * found.weights).var(0)
    assert [weighed[part].sum() for part in found.parts] == pytest.approx([1, 1], rel=1e-4)
    assert Projection(np.zeros(12), np.ones(12)).weights == pytest.approx(np.full(12, 12**-0.5))


def test_a_summary_of_another_width_is_refused():
    found = fit_projection([(CODE, SUMMARY)], [np.arange(40)], ModelConfig())
    with pytest.raises(DataError, match=r"has 4 columns, the model was trained on 5.*train again"):
        found.apply(CODE, SUMMARY[:, :4])


@pytest.mark.parametrize("groups", [[4], [], [0, 5], [6, -1], np.array([2, 2])])
def test_groups_that_do_not_add_up_are_the_plugins_fault(groups):
    plugin = SimpleNamespace(summary=None, summary_groups=lambda columns: groups)
    with pytest.raises(PluginError, match=r"odd.summary_groups\(5\) is .* does not add up"):
        groups_of(SUMMARY, {"odd": plugin}, "odd")
