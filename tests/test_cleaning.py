from __future__ import annotations

import numpy as np
import pytest
from giblet import DataError
from giblet.alignment import clean, cosine_drift, scale_train
from hypothesis import given, settings
from hypothesis import strategies as st


def noise(t=240, v=7, seed=0):
    return np.random.default_rng(seed).normal(size=(t, v)).cumsum(0) + 100


@pytest.mark.parametrize("tr_s", [0.72, 1.5, 2.0])
@pytest.mark.parametrize("n", [60, 241])
def test_drift_basis_equals_nilearns(tr_s, n):
    from nilearn.glm.first_level.design_matrix import create_cosine_drift

    theirs = create_cosine_drift(1 / 128, np.arange(n) * tr_s)[:, :-1]  # their last column is the constant
    np.testing.assert_allclose(cosine_drift(n, tr_s, 128), theirs, atol=1e-12)


def test_residuals_equal_a_regression_on_nilearns_design_matrix():
    from nilearn.glm.first_level import make_first_level_design_matrix

    y, confounds = noise(), np.random.default_rng(1).normal(size=(240, 3))
    trend = np.arange(240.0)[:, None]
    design = make_first_level_design_matrix(
        np.arange(240) * 1.5, drift_model="cosine", high_pass=1 / 128, add_regs=np.hstack([trend, confounds])
    ).to_numpy()
    expected = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(clean(y, [slice(None)], 1.5, confounds=confounds), expected, atol=1e-8)


def test_equals_nilearns_signal_clean():
    from nilearn.signal import clean as nilearn_clean

    y = noise()
    theirs = nilearn_clean(y, detrend=False, standardize=None, filter="cosine", high_pass=1 / 128, t_r=1.5)
    ours = clean(y, [slice(None)], 1.5, detrend=False)
    np.testing.assert_allclose(ours, theirs - theirs.mean(0), atol=1e-8)


def test_a_block_is_cleaned_as_if_it_were_alone_and_gaps_are_zero():
    y = noise()
    blocks = [slice(0, 100), slice(130, 240)]
    out = clean(y, blocks, 1.5)
    for block in blocks:
        np.testing.assert_allclose(out[block], clean(y[block], [slice(None)], 1.5), atol=1e-9)
    assert not out[100:130].any()
    changed = y.copy()
    changed[100:] = np.random.default_rng(5).normal(size=(140, 7)) * 1e6
    np.testing.assert_array_equal(clean(changed, blocks, 1.5)[:100], out[:100])


@settings(max_examples=30)
@given(st.integers(40, 120), st.booleans(), st.sampled_from([None, 60.0, 128.0]), st.integers(0, 3))
def test_what_was_regressed_out_is_gone_and_a_second_time_changes_nothing(n, detrend, high_pass_s, c):
    y, confounds = noise(n), np.random.default_rng(2).normal(size=(n, c)) * 1e4 + 7
    out = clean(y, [slice(None)], 2.0, high_pass_s, detrend, confounds)
    drift = np.zeros((n, 0)) if high_pass_s is None else cosine_drift(n, 2.0, high_pass_s)
    trend = np.arange(n)[:, None] / n if detrend else np.zeros((n, 0))
    gone = np.hstack([np.ones((n, 1)), trend, drift, confounds / 1e4])
    np.testing.assert_allclose(gone.T @ out, 0, atol=1e-6)
    np.testing.assert_allclose(clean(out, [slice(None)], 2.0, high_pass_s, detrend, confounds), out, atol=1e-7)


def test_fast_signal_stays_and_slow_drift_goes():
    t = np.arange(300) * 1.5
    fast, slow = np.sin(2 * np.pi * t / 20), 5 * np.cos(2 * np.pi * t / 450)
    out = clean((fast + slow)[:, None], [slice(None)], 1.5)[:, 0]
    assert np.corrcoef(out, fast)[0, 1] > 0.995
    assert abs(np.corrcoef(out, slow)[0, 1]) < 0.01


def test_columns_that_are_all_drift_are_exactly_zero():
    y = np.stack([np.full(100, 1e4), 3e4 + np.arange(100.0), np.zeros(100)], 1).astype(np.float32)
    out = clean(y, [slice(None)], 2.0)
    assert out.dtype == np.float32
    assert not out.any()
    assert not scale_train(out, [slice(0, 50)]).any()


def test_more_columns_than_are_done_at_once_give_the_same(monkeypatch):
    y = noise(v=50)
    whole = clean(y, [slice(None)], 1.5)
    monkeypatch.setattr("giblet.alignment.cleaning.COLUMNS_AT_ONCE", 7)
    np.testing.assert_allclose(clean(y, [slice(None)], 1.5), whole, atol=1e-9)


def test_a_block_shorter_than_its_regressors_is_refused():
    with pytest.raises(DataError, match=r"0:3 is too short to clean: 3 TRs, 3 regressors"):
        clean(noise(3), [slice(None)], 2.0, confounds=np.arange(3.0)[:, None] ** 2)
    with pytest.raises(DataError, match="overlap"):
        clean(noise(), [slice(0, 100), slice(99, 200)], 2.0)
    with pytest.raises(DataError, match="5 values that are not finite"):
        clean(noise(), [slice(None)], 2.0, confounds=np.where(np.arange(240) < 5, np.nan, 1.0)[:, None])
    with pytest.raises(DataError, match="high-pass period"):
        clean(noise(), [slice(None)], 2.0, high_pass_s=0)


def test_scale_learns_from_training_trs_only():
    y = noise()
    y[:150, 3] = 1.0
    train = [slice(0, 50), slice(80, 150)]
    out = scale_train(y, train)
    rows = np.r_[0:50, 80:150]
    np.testing.assert_allclose(out[rows].std(0), [1, 1, 1, 0, 1, 1, 1], atol=1e-12)
    assert not out[:, 3].any()
    changed = y.copy()
    changed[150:] *= 100
    np.testing.assert_array_equal(scale_train(changed, train)[:150], out[:150])
    with pytest.raises(DataError, match="0 training TRs"):
        scale_train(y, [])
