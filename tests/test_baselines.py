"""Ridges against scikit-learn, delays and folds by their laws, and the lag search against known lags."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis import banded_ridge, blocked_folds, delay, fir_ridge, pearson, scan_lag
from giblet.analysis.baselines import reduced
from giblet.errors import DataError
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

RUNS = [slice(0, 150), slice(150, 300)]
TRAIN, VALIDATION, TEST = np.arange(0, 180), np.arange(190, 220), np.arange(240, 300)


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(1, 12), st.integers(1, 12), st.lists(st.integers(-14, 14), min_size=1, max_size=4))
def test_delays_undo_and_stay_in_their_run(first, second, lags):
    runs = [slice(0, first), slice(first, first + second)]
    x = noise(first, first + second, 2)
    out = delay(x, lags, runs).reshape(len(x), len(lags), 2)
    for run in runs:
        for t in range(run.start, run.stop):
            for i, lag in enumerate(lags):
                inside = run.start <= t - lag < run.stop
                np.testing.assert_array_equal(out[t, i], x[t - lag] if inside else 0)


@given(st.integers(1, 6), st.integers(0, 20), st.integers(2, 5))
def test_folds_hold_every_training_tr_out_once_with_the_gap(start, gap, folds):
    train = np.r_[start : start + 140, 160:230]
    got = blocked_folds(train, RUNS, folds, gap)
    np.testing.assert_array_equal(np.concatenate([held for _, held in got]), train)
    for fit, held in got:
        assert set(fit) <= set(train)
        same_run = (fit[:, None] < 150) == (held[None] < 150)
        assert (np.abs(fit[:, None] - held[None])[same_run] > gap).all()


def test_too_little_training_data_is_refused():
    with pytest.raises(DataError, match="too few"):
        blocked_folds(np.arange(60), [slice(0, 60)], 4, 40)


def test_pca_is_sklearns_and_fitted_on_training_trs():
    x = noise(0, 300, 30) @ noise(1, 30, 30)
    got = reduced(x, TRAIN, 5)
    scaler = StandardScaler().fit(x[TRAIN])
    expected = PCA(5).fit(scaler.transform(x[TRAIN])).transform(scaler.transform(x))
    np.testing.assert_allclose(np.abs(got), np.abs(expected), atol=1e-8)


@pytest.mark.parametrize("n_features", [4, 80])
def test_ridge_is_sklearns_with_the_same_penalty(n_features):
    x, n_lags, alpha = noise(0, 300, n_features), 5, 0.05
    y = noise(1, 300, 3) + 7
    result = fir_ridge({"a": x}, y, TRAIN, VALIDATION, RUNS, n_lags, gap=10, pca=None, alphas=[alpha])
    fit = np.r_[TRAIN, VALIDATION]
    design = delay(reduced(x, TRAIN, None), range(n_lags), RUNS)
    scale = np.square(design[fit]).sum(1).mean()
    expected = Ridge(alpha=alpha * scale).fit(design[fit], y[fit]).predict(design)
    np.testing.assert_allclose(result.prediction, expected, atol=1e-3)
    np.testing.assert_allclose(result.alpha, alpha, rtol=1e-4)
    assert ("kernel" if n_features == 80 else "primal") in result.notes[0]


def test_penalty_is_chosen_by_the_inner_folds():
    x, alphas = noise(0, 300, 6), [1e-3, 1.0, 100.0]
    y = np.column_stack([x[:, 0] + 0.1 * noise(1, 300), noise(2, 300)])
    result = fir_ridge({"a": x}, y, TRAIN, VALIDATION, RUNS, 8, gap=10, alphas=alphas)
    design = delay(reduced(x, TRAIN, None), range(8), RUNS)
    scale = np.square(design[np.r_[TRAIN, VALIDATION]]).sum(1).mean()
    losses = np.zeros((3, 2))
    for fit, held in blocked_folds(TRAIN, RUNS, 4, 10):
        for i, alpha in enumerate(alphas):
            prediction = Ridge(alpha=alpha * scale).fit(design[fit], y[fit]).predict(design[held])
            losses[i] += np.square(prediction - y[held]).mean(0)
    np.testing.assert_allclose(result.alpha, np.array(alphas)[losses.argmin(0)], rtol=1e-4)


def world(seed):
    """Three modalities: the first drives y[:, 0] after 3 TRs, the second y[:, 1] after 1, and nothing y[:, 2]."""
    features = {name: noise(seed + i, 300, 40) for i, name in enumerate("abc")}
    signal = np.column_stack([delay(features["a"], [3], RUNS)[:, :5].sum(1), delay(features["b"], [1], RUNS)[:, 0]])
    return features, np.column_stack([signal, np.zeros(300)]) + noise(seed + 9, 300, 3)


def test_banding_finds_the_modality_and_helps():
    features, y = world(0)
    plain = fir_ridge(features, y, TRAIN, VALIDATION, RUNS, 6, gap=10)
    banded = banded_ridge(features, y, TRAIN, VALIDATION, RUNS, 6, gap=10)
    assert banded.band_weights[0, 0] > 0.8
    assert banded.band_weights[1, 1] > 0.8
    np.testing.assert_allclose(banded.band_weights.sum(0), 1, rtol=1e-4)
    r = [pearson(result.prediction[TEST], y[TEST]) for result in (plain, banded)]
    assert r[1][0] > r[0][0] > 0.2


def test_banding_in_the_primal_too():
    features, y = world(0)
    few = {name: x[:, :5] for name, x in features.items()}
    result = banded_ridge(few, y, TRAIN, VALIDATION, RUNS, 6, gap=10)
    assert "primal" in result.notes[0]
    assert result.band_weights[0, 0] > 0.8
    assert pearson(result.prediction[TEST], y[TEST])[0] > 0.6


def test_undelayed_features_get_no_lags():
    features, y = world(0)
    result = fir_ridge({"a": features["a"]}, y, TRAIN, VALIDATION, RUNS, 6, gap=10, undelayed={"a"})
    assert "40 features" in result.notes[0]
    assert abs(pearson(result.prediction[TEST], y[TEST])[0]) < 0.4


@pytest.mark.parametrize("ridge", [fir_ridge, banded_ridge])
def test_nothing_of_the_test_block_enters_and_nothing_is_printed(ridge, capsys):
    features, y = world(1)
    features = {name: x[:, :10] for name, x in features.items()}
    first = ridge(features, y, TRAIN, VALIDATION, RUNS, 6, gap=10).prediction
    y[TEST] = noise(5, len(TEST), 3)
    np.testing.assert_array_equal(ridge(features, y, TRAIN, VALIDATION, RUNS, 6, gap=10).prediction, first)
    assert capsys.readouterr() == ("", "")


def test_constant_modalities_are_left_out_and_cannot_be_all():
    features, y = world(0)
    with_flat = fir_ridge({**features, "flat": np.ones((300, 2))}, y, TRAIN, VALIDATION, RUNS, 6, gap=10)
    without = fir_ridge(features, y, TRAIN, VALIDATION, RUNS, 6, gap=10)
    np.testing.assert_array_equal(with_flat.prediction, without.prediction)
    with pytest.raises(DataError, match="no feature varies"):
        fir_ridge({"flat": np.ones((300, 2))}, y, TRAIN, VALIDATION, RUNS, 6, gap=10)


def scanned(seed, lag_trs, strength=1.0):
    """Features under an HRF and scans that follow them `lag_trs` later, half of the voxels pure noise, at TR 1.5."""
    runs = [slice(0, 320), slice(320, 640)]
    t = np.arange(0, 25, 1.5)
    causes = lfilter([1], [1, -0.6], noise(seed, 640, 6), axis=0)
    features = lfilter(t**5 * np.exp(-t), [1], causes @ noise(seed + 1, 6, 20) + noise(seed + 2, 640, 20), axis=0)
    response = delay(lfilter(t**5 * np.exp(-t), [1], np.tanh(causes), axis=0), [lag_trs], runs)
    signal = response @ noise(seed + 3, 6, 60)
    signal = strength * signal / signal.std(0) * (np.arange(60) < 30)
    shared = lfilter([1], [1, -0.8], noise(seed + 4, 640, 1), axis=0)
    scans = signal + lfilter([1], [1, -0.5], noise(seed + 5, 640, 60), axis=0) + 0.5 * shared
    return features, scans, np.r_[0:320, 320:404], runs


@pytest.mark.parametrize("lag_trs", [0, 10, -6])
def test_the_lag_of_the_scans_is_found(lag_trs):
    features, scans, train, runs = scanned(20, lag_trs)
    lag = scan_lag(features, scans, train, runs, tr_s=1.5, gap=20)
    assert lag.lag_s == pytest.approx(1.5 * lag_trs, abs=1.0)
    assert lag.misaligned == (lag_trs != 0)
    assert lag.lags_s[lag.curve.argmax()] == pytest.approx(lag.lag_s, abs=0.75)


def test_unrelated_scans_are_rarely_called_misaligned():
    flagged = 0
    for seed in range(0, 80, 10):
        features, scans, train, runs = scanned(seed, 0, strength=0.0)
        flagged += scan_lag(features, scans, train, runs, tr_s=1.5, gap=20).misaligned
    assert flagged <= 1


def test_the_lag_search_reads_training_trs_only():
    features, scans, train, runs = scanned(20, 4)
    first = scan_lag(features, scans, train, runs, tr_s=1.5, gap=20)
    scans[404:], features[404:] = 0, 0
    assert scan_lag(features, scans, train, runs, tr_s=1.5, gap=20).lag_s == first.lag_s
    with pytest.raises(DataError, match="smaller lag"):
        scan_lag(features, scans, np.arange(30), runs, tr_s=1.5)
