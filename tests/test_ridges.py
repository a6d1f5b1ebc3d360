"""The linear models beside ours: who is fitted on which TRs, and what a shared or a prior response is worth."""

from dataclasses import replace

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.bold import score_bold
from giblet.analysis.joined import join
from giblet.analysis.ridges import GROUP, ridge_predictions, under_hrf
from giblet.config import EvaluateConfig, ModelConfig, RunConfig
from giblet.training import compute_codes

CONFIG = RunConfig(
    model=ModelConfig(latent=16, hidden=16, kernel_s=24.0), evaluate=EvaluateConfig(banded_candidates=3, null_shifts=40)
)


def quiet(*_):
    """No progress."""


@pytest.fixture
def fitted(build, world):
    """Predictions of every ridge for the two people of a small world and for their mean."""

    def fit(world):
        _, codes, _ = build(world, CONFIG)
        y = dict(world.scans) | {GROUP: np.mean(list(world.scans.values()), axis=0)}
        measured = {s: world.scanned.get(s, np.ones(260, bool)) for s in y}
        return ridge_predictions([world], codes, y, measured, CONFIG, 10, 0.5, ())[0]

    return fit


def r(guess, y):
    return np.mean([np.corrcoef(guess[210:260, v], y[210:260, v])[0, 1] for v in range(y.shape[1])])


def test_a_prior_on_the_response_helps_where_it_is_right(fitted, world):
    made = fitted(world)
    assert r(made["hrf_banded_r"]["a"], world.scans["a"]) > r(made["banded_r"]["a"], world.scans["a"]) > 0.3


def test_the_group_predicts_everybody_alike(fitted, world):
    made = fitted(world)["hrf_group_r"]
    assert made["a"] is made["b"] is made[GROUP]


def test_regressors_under_the_response_are_convolutions_at_three_delays(world):
    x = world.aligned["text"].features.values
    made = under_hrf(x, join([world]), 0.5)
    expected = [convolve_hrf(x, canonical_hrf(1.5, slice_time_ref=0.5 - d)) for d in (-1, 0, 1)]
    np.testing.assert_allclose(made, np.concatenate(expected, axis=1), atol=1e-5)


def test_tr_that_were_not_measured_are_not_fitted(fitted, world):
    """Whatever stands where somebody was not scanned changes nothing, neither for them nor for the others."""
    half = np.ones(260, bool)
    half[:40] = False

    def with_values(value):
        scans = dict(world.scans) | {"b": np.where(half[:, None], world.scans["b"], value).astype(np.float32)}
        return fitted(replace(world, scans=scans, scanned={"a": world.scanned["a"], "b": half & world.scanned["b"]}))

    quiet_rows, loud_rows = with_values(0.0), with_values(50.0)
    for name in ("ridge_r", "banded_r", "hrf_banded_r"):
        np.testing.assert_array_equal(quiet_rows[name]["b"], loud_rows[name]["b"])
        np.testing.assert_array_equal(quiet_rows[name]["a"], loud_rows[name]["a"])


def test_the_group_mean_is_of_those_who_were_there(build, world):
    """Somebody who lacks a run does not pull its mean to zero."""
    _, _, nets = build(world, CONFIG)
    runs = [world, replace(world, run="run-2", scans={"a": world.scans["a"]}, scanned={"a": world.scanned["a"]})]
    codes = compute_codes(runs, nets, {}, CONFIG.model, quiet)
    predicted = [{s: world.scans[s].copy() for s in world.scans}] * 2
    scores = score_bold(runs, codes, predicted, ["a", "b"], CONFIG, 10)
    assert scores.r["group"]["r"].min() > 0.999
