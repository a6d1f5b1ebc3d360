"""Variance partitioning: known worlds, himalaya's own split scores, and a test over people that keeps its level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from giblet.analysis.baselines import banded_parts, banded_ridge, blocked_folds, delay, inner_folds
from giblet.analysis.inference import sign_flip
from giblet.analysis.joined import join
from giblet.analysis.ridges import under_hrf
from giblet.analysis.scores import zscore_train
from giblet.analysis.variance import Shares, partition, split_scores
from giblet.analysis.variance_table import ALL, variance_maps, variance_metrics, variance_shares
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

RUNS = [slice(0, 300), slice(300, 600)]
TRAIN, VALIDATION, TEST = np.arange(0, 300), np.arange(310, 370), np.arange(400, 600)
FIT = {"train": TRAIN, "validation": VALIDATION, "rows": TEST, "folds": blocked_folds(TRAIN, RUNS, 4, 5)}
VALUES = st.floats(-10, 10, width=32)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def linear_world():
    """Modality a drives voxels 0 to 9, b 10 to 19; 20 to 29 follow what both carry, 30 to 39 nothing."""
    common, a, b = noise(0, 600, 2), noise(1, 600, 2), noise(2, 600, 2)
    features = {"a": np.hstack([a, common]), "b": np.hstack([b, common])}
    drives = [a, b, common]
    y = np.hstack([np.roll(d, 1, axis=0) @ noise(k + 5, 2, 10) for k, d in enumerate(drives)])
    y = np.hstack([y, np.zeros((600, 10))])
    bands = {n: delay(x.astype(np.float32), range(3), RUNS) for n, x in features.items()}
    return bands, (y + noise(9, 600, 40)).astype(np.float32)


def test_each_modality_gets_the_voxels_that_it_drives():
    bands, y = linear_world()
    shares = partition(bands, y, n_candidates=8, **FIT)
    means = {
        name: [float(v[k : k + 10].mean()) for k in range(0, 40, 10)]
        for name, v in (("full", shares.full), ("a", shares.unique["a"]), ("b", shares.unique["b"]))
    }
    np.testing.assert_allclose(means["a"][0], means["full"][0], atol=0.05)
    np.testing.assert_allclose(means["b"][1], means["full"][1], atol=0.05)
    np.testing.assert_allclose([means["a"][k] for k in (1, 2, 3)], 0, atol=0.03)
    np.testing.assert_allclose([means["b"][k] for k in (0, 2, 3)], 0, atol=0.03)
    shared = means["full"][2] - means["a"][2] - means["b"][2]
    assert shared > 0.3
    np.testing.assert_allclose(shares.split["a"][:10], shares.full[:10], atol=0.1)
    np.testing.assert_allclose(shares.split["a"][20:30].mean(), shares.split["b"][20:30].mean(), atol=0.15)


def test_the_parts_of_a_banded_ridge_are_its_prediction():
    features = {"a": noise(0, 600, 4), "b": noise(1, 600, 3)}
    y = features["a"] @ noise(2, 4, 5) + noise(3, 600, 5)
    for lags in (3, 60):  # the primal and the kernel solution
        same = {"runs": RUNS, "n_lags": lags, "gap": 5}
        whole = banded_ridge(features, y, TRAIN, VALIDATION, **same).prediction[TEST]
        bands = {n: delay(zscore_train(x, TRAIN).astype(np.float32), range(lags), RUNS) for n, x in features.items()}
        rest = whole - sum(banded_parts(bands, y, **FIT).values())
        np.testing.assert_allclose(rest, np.broadcast_to(rest[:1], rest.shape), atol=2e-4)


@given(arrays(np.float32, (12, 3), elements=VALUES), arrays(np.float32, (2, 12, 3), elements=VALUES))
def test_split_scores_are_himalayas_and_add_up(y, parts):
    from himalaya.scoring import r2_score_split

    y = y + noise(0, 12, 3)
    split = split_scores(y, parts)
    centred = y - y.mean(0)
    around = parts.astype(float) - parts.mean(1, dtype=float)[:, None]
    np.testing.assert_allclose(split, r2_score_split(centred, around), rtol=1e-6, atol=1e-8)
    full = 1 - np.square(centred - around.sum(0)).sum(0) / np.square(centred).sum(0)
    np.testing.assert_allclose(split.sum(0), full, rtol=1e-6, atol=1e-8)


@given(arrays(np.float64, (4, 3), elements=st.floats(-5, 5)))
def test_few_people_are_flipped_exactly(effects):
    effects = effects + noise(0, 4, 3)
    from scipy.stats import permutation_test

    got = sign_flip(effects)
    for c in range(3):
        expected = permutation_test(
            (effects[:, c],), lambda x, axis: x.mean(axis), permutation_type="samples", alternative="greater",
            vectorized=True, n_resamples=np.inf,
        )  # fmt: skip
        assert got.p[c] == pytest.approx(expected.pvalue)
    assert got.least_p == 1 / 16
    assert (got.p_corrected >= got.p - 1e-12).all()


def test_the_maximum_keeps_the_level_and_finds_what_is_there():
    found = [sign_flip(noise(k, 6, 20)).p_corrected.min() <= 0.05 for k in range(200)]
    assert np.mean(found) < 0.1
    strong = noise(1, 6, 20) * 0.1
    strong[:, 3] += 1
    test = sign_flip(strong)
    assert test.p_corrected[3] == test.least_p == 1 / 64
    many = sign_flip(noise(2, 20, 2) + np.array([1.0, 0.0]))
    assert many.p[0] == many.least_p < 0.001 < many.p[1]


def shares_of(people, voxels=8):
    return {
        s: Shares(noise(k, voxels), {"a": noise(k + 20, voxels), "b": noise(k + 40, voxels)},
                  {"a": np.full(voxels, 0.3) + 0.01 * noise(k, voxels), "b": 0.01 * noise(k, voxels)})
        for k, s in enumerate(people)
    }  # fmt: skip


def test_the_table_is_the_mean_over_voxels_and_people():
    shares, visual = shares_of("vwxyz"), np.arange(8) < 4
    found = variance_metrics(shares, {"visual": visual, "nowhere": np.zeros(8, bool)}, "", 0)
    assert list(found["regions"]) == ["visual", ALL]
    row = found["regions"]["visual"]
    assert row["modalities"]["a"]["unique"] == pytest.approx(np.mean([s.unique["a"][:4] for s in shares.values()]))
    assert row["shared"] == pytest.approx(row["full"] - sum(m["unique"] for m in row["modalities"].values()))
    assert row["modalities"]["a"]["p_corrected"] == found["least_p"] == 1 / 32
    assert row["modalities"]["b"]["p_corrected"] > 0.05
    maps = variance_maps(shares)
    np.testing.assert_allclose(maps["variance_unique_a"], np.mean([s.unique["a"] for s in shares.values()], 0))


def test_one_person_has_no_p_and_unequal_voxels_no_map():
    alone = variance_metrics(shares_of("v"), {}, "", 0)
    assert "p" not in alone["regions"][ALL]["modalities"]["a"]
    assert "one person" in alone["note"]
    assert not variance_maps(shares_of("v") | shares_of("w", 9))


def test_one_modality_is_said_to_be_one(world, quick_config, build):
    _, codes, _ = build(world, quick_config)
    shares, why = variance_shares([world], codes, list(world.scans), quick_config, 30)
    assert not shares
    assert "only one modality" in why
    assert variance_metrics(shares, {}, why, 0) == {"note": why}


def test_what_was_not_measured_is_neither_fitted_nor_scored(world, quick_config, build):
    _, codes, _ = build(world, quick_config)
    codes.inputs[0]["other"] = noise(3, 260, 2).astype(np.float32)
    world.scanned["b"] = world.scanned["b"].copy()
    world.scanned["b"][60:80] = world.scanned["b"][240:] = False
    before, _ = variance_shares([world], codes, ["a", "b"], quick_config, 10)
    world.scans["b"][60:80] = world.scans["b"][240:] = 1e3
    after, _ = variance_shares([world], codes, ["a", "b"], quick_config, 10)
    for s in "ab":
        np.testing.assert_array_equal(after[s].full, before[s].full)


def test_people_are_fitted_together_and_told_apart(world, quick_config, build):
    _, codes, _ = build(world, quick_config)
    codes.inputs[0]["other"] = noise(3, 260, 2).astype(np.float32)
    shares, why = variance_shares([world], codes, list(world.scans), quick_config, 10)
    assert (list(shares), why) == (["a", "b"], "")
    alone, _ = variance_shares([world], codes, ["b"], quick_config, 10)
    np.testing.assert_allclose(shares["b"].full, alone["b"].full, atol=1e-4)
    for s in shares.values():
        assert s.unique["text"].mean() > 0.2 > 0.05 > s.unique["other"].mean()


def test_inner_folds_keep_the_gap(world, quick_config, build):
    """Slow series that have nothing to do with each other: penalties are those of folds with a gap between them."""
    _, codes, _ = build(world, quick_config)
    text, other, y = (np.apply_along_axis(np.convolve, 0, noise(k, 289, 20), np.ones(30), "valid") for k in range(3))
    codes.inputs[0] = {"text": text.astype(np.float32), "other": other.astype(np.float32)}
    world.scans["a"] = y.astype(np.float32)
    joined, gap = join([world]), 20
    bands = {n: under_hrf(x, joined, 0.5) for n, x in codes.inputs[0].items()}

    def known(between):
        folds = blocked_folds(joined.train, joined.runs, inner_folds(joined.train, joined.runs, gap), between)
        trs = {"train": joined.train, "validation": joined.validation, "rows": joined.test_trs, "folds": folds}
        candidates = quick_config.evaluate.variance_candidates
        return partition(bands, world.scans["a"], n_candidates=candidates, seed=quick_config.seed, **trs).full

    shares, _ = variance_shares([world], codes, ["a"], quick_config, gap)
    np.testing.assert_allclose(shares["a"].full, known(gap), atol=1e-4)
    assert not np.allclose(shares["a"].full, known(0), atol=1e-2)


def test_what_left_the_scans_leaves_their_predictions(world, quick_config, build):
    """Of somebody whose confounds take everything out of a test block, nothing is left to explain there."""
    _, codes, _ = build(world, quick_config)
    codes.inputs[0]["other"] = noise(3, 260, 2).astype(np.float32)
    before, _ = variance_shares([world], codes, ["a", "b"], quick_config, 10)
    (block,) = world.of("test")
    everything = np.eye(block.stop - block.start, dtype=np.float32)
    told = replace(world, confounds={"b": {(block.start, block.stop): everything}})
    after, _ = variance_shares([told], codes, ["a", "b"], quick_config, 10)
    np.testing.assert_allclose(after["a"].full, before["a"].full, atol=1e-6)
    assert before["b"].full.mean() > 0.1
    assert not after["b"].full.any()


def test_a_modality_that_never_varies_is_left_out(world, quick_config, build):
    _, codes, _ = build(world, quick_config)
    codes.inputs[0]["still"] = np.zeros((260, 2), np.float32)
    codes.inputs[0]["other"] = noise(3, 260, 2).astype(np.float32)
    shares, _ = variance_shares([world], codes, ["a"], quick_config, 10)
    assert list(shares["a"].split) == ["text", "other"]
