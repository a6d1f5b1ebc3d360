"""The linear models beside ours: who is fitted on which TRs, and what a shared or a prior response is worth."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.baselines import fir_ridge, inner_folds
from giblet.analysis.bold import BoldScores, bold_metrics, score_bold
from giblet.analysis.bootstrap import DRAWS, draw_counts, pieces, resampled_r
from giblet.analysis.ceilings import Ceiling
from giblet.analysis.joined import join
from giblet.analysis.nulls import Null
from giblet.analysis.ridges import GROUP, require_scores, ridge_predictions, under_hrf
from giblet.analysis.scores import pearson
from giblet.config import EvaluateConfig, ModelConfig, RunConfig, SplitConfig
from giblet.errors import DataError
from giblet.training import compute_codes

CONFIG = RunConfig(
    model=ModelConfig(latent=16, hidden=16, kernel_s=24.0), evaluate=EvaluateConfig(banded_candidates=3, null_shifts=40)
)


TEST = slice(210, 260)


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


def scores_of(world, codes, predicted, **settings):
    return score_bold([world], codes, [predicted], ["a", "b"], CONFIG, 10, **settings)


def test_who_was_not_measured_in_the_test_is_left_out_and_it_says_so(build, world):
    _, codes, _ = build(world, CONFIG)
    few = world.scanned["b"] & (np.arange(260) < 225)
    scores = scores_of(replace(world, scanned={"a": world.scanned["a"], "b": few}), codes, world.scans)
    assert set(scores.r) == {"a"}
    assert scores.draws["r"].shape[0] == 1
    assert any("fewer than 20 of their test TRs were measured: b" in note for note in scores.notes)


def test_folds_draw_other_pieces_and_a_run_without_folds_draws_as_ever(build, world):
    _, codes, _ = build(world, CONFIG)
    at = [CONFIG.model_copy(update={"split": SplitConfig(folds=2, fold=k)}) for k in (1, 2)]
    y, there, cut = world.scans["a"], world.scanned["a"], pieces([TEST], 1.5)
    guess = y + np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    alone, one, two = (score_bold([world], codes, [{"a": guess}], ["a"], c, 10).draws["r"] for c in (CONFIG, *at))
    for a, b in combinations((alone, one, two), 2):
        assert np.corrcoef(a[0], b[0])[0, 1] < 0.2
    counts = draw_counts(len(cut), DRAWS, CONFIG.seed)
    np.testing.assert_array_equal(alone[0], resampled_r(guess, y, there, cut, counts))


def test_pieces_count_in_which_somebody_was_measured(build, world):
    _, codes, _ = build(world, CONFIG)
    first = world.scanned["b"] & (np.arange(260) < 235)
    told = replace(world, scanned={"a": world.scanned["a"], "b": first})
    alone, both = (score_bold([told], codes, [world.scans], who, CONFIG, 10) for who in (["b"], ["a", "b"]))
    assert (alone.pieces, both.pieces) == (1, 2)
    np.testing.assert_allclose(alone.draws["r"], 1)


def test_the_null_is_of_the_trs_that_were_measured(build, world):
    """Of noise, r on half of the TRs varies by as much as its null says."""
    _, codes, _ = build(world, CONFIG)
    rng, half = np.random.default_rng(0), world.scanned["b"] & (np.arange(260) % 2 > 0)
    noise = {s: rng.standard_normal(y.shape).astype(np.float32) for s, y in world.scans.items()}
    scans = dict(world.scans) | {"b": (rng.standard_normal((260, 20)) * half[:, None]).astype(np.float32)}
    partly = replace(world, scans=scans, scanned={"a": world.scanned["a"], "b": half})
    known = score_bold([partly], codes, [noise], ["b"], CONFIG, 10).null
    assert known.r == pytest.approx(pearson(noise["b"][TEST], scans["b"][TEST], half[TEST]).mean())
    assert known.r_null.std() * 20**0.5 == pytest.approx(1 / 24**0.5, rel=0.25), "25 TRs of 50 were measured"


def test_features_under_a_response_are_in_step(build, world):
    """A table that carries its response already is not given another when the lag is sought."""
    delayed = convolve_hrf(world.aligned["text"].features.values, canonical_hrf(1.5))
    weights = np.random.default_rng(1).standard_normal((6, 20))
    y = (delayed @ weights * world.scanned["a"][:, None]).astype(np.float32)
    _, codes, _ = build(world, CONFIG)
    table = replace(codes, summaries=[{"text": delayed.astype(np.float32)}])
    later = replace(world, scans={"a": y, "b": y})
    assert scores_of(later, table, {"a": y, "b": y}, applied=["text"]).lag.lag_s == pytest.approx(0, abs=0.3)
    assert scores_of(later, table, {"a": y, "b": y}).lag.lag_s < -3


@pytest.mark.parametrize("slice_time_ref", [0.0, 1.0])
def test_lags_know_when_in_a_tr_its_scan_was_taken(build, world, slice_time_ref):
    heard = convolve_hrf(world.aligned["text"].features.values, canonical_hrf(1.5, slice_time_ref=slice_time_ref))
    y = (heard @ np.random.default_rng(1).standard_normal((6, 20)) * world.scanned["a"][:, None]).astype(np.float32)
    _, codes, _ = build(world, CONFIG)
    plain = replace(codes, summaries=[{"text": world.aligned["text"].features.values.astype(np.float32)}])
    scores = scores_of(replace(world, scans={"a": y, "b": y}), plain, {"a": y, "b": y}, slice_time_ref=slice_time_ref)
    assert scores.lag.lag_s == pytest.approx(0, abs=0.3)


def test_a_gain_is_over_the_best_ridge():
    values = {"r": 0.4, "ridge_r": 0.1, "hrf_banded_r": 0.35, "banded_r": 0.2}
    rng = np.random.default_rng(0)
    rows = {s: {m: np.full(4, v) for m, v in values.items()} for s in "ab"}
    draws = {m: v + 0.01 * rng.standard_normal((2, DRAWS)) for m, v in values.items()}
    null = Null(0.4, np.zeros(99), 0.01, 0.0, np.full(8, 0.01), "circular shift")
    found = bold_metrics(BoldScores(rows, {"people": Ceiling("none", None, "")}, null, None, None, [], draws), {})
    assert found["gain"] == pytest.approx(0.05)
    assert found["gain_interval"] == pytest.approx([0.05, 0.05], abs=0.03)


def test_inner_folds_keep_the_gap(build, world):
    """Slow series that have nothing to do with each other: penalties are those of folds with a gap between them."""
    _, codes, _ = build(world, CONFIG)
    rng = np.random.default_rng(0)
    x, y = (np.apply_along_axis(np.convolve, 0, rng.standard_normal((289, n)), np.ones(30), "valid") for n in (6, 20))
    slow = replace(codes, inputs=[{"text": x.astype(np.float32)}])
    joined, scans = join([world]), y.astype(np.float32)
    timing = {"train": joined.train, "validation": joined.validation, "runs": joined.runs}
    settings = {"n_lags": 17, "pca": None, "undelayed": ()}

    def known(gap):
        folds = inner_folds(joined.train, joined.runs, 20)
        return fir_ridge(slow.inputs[0], scans, **timing, gap=gap, folds=folds, **settings).prediction

    made = ridge_predictions([world], slow, {"a": scans}, {"a": world.scanned["a"]}, CONFIG, 20, 0.5, ())[0]
    np.testing.assert_allclose(made["ridge_r"]["a"], known(20), atol=1e-5)
    assert not np.allclose(made["ridge_r"]["a"], known(0), atol=1e-2)


def test_what_could_not_be_scored_is_refused_before_it_is_trained(world):
    def scanned(**masks):
        return [replace(world, scanned=world.scanned | masks)]

    trs = np.arange(260)
    require_scores([world], ["a", "b"], 10)
    require_scores(scanned(b=trs < 225), ["a", "b"], 10)
    with pytest.raises(DataError, match="of nobody 20 test TRs or more were measured"):
        require_scores(scanned(a=trs < 225, b=trs < 225), ["a", "b"], 10)
    with pytest.raises(DataError, match=r"b: 30 training TRs are too few for 2 inner folds .* or --exclude b"):
        require_scores(scanned(b=trs >= 90), ["a", "b"], 10)
