"""Scores, ceilings and nulls against scipy, known truths and their laws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from giblet.analysis import (
    ceiling_ratio,
    fdr,
    group_ceiling,
    is_constant,
    loo_isc,
    pearson,
    repeat_ceiling,
    shift_null,
    spearman_brown,
    zscore_train,
)
from giblet.analysis.nulls import mean_null
from giblet.analysis.surrogates import draw_shifts, random_phases, surrogate_turns, turned
from giblet.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

COLUMNS = hnp.arrays(np.float64, (12, 3), elements=st.floats(-100, 100, width=32))


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def test_pearson_is_scipys():
    a, b = noise(0, 50, 4), noise(1, 50, 4)
    np.testing.assert_allclose(pearson(a, b), [stats.pearsonr(a[:, v], b[:, v])[0] for v in range(4)], atol=1e-12)


def test_pearson_reads_only_valid_trs():
    a, b = noise(0, 50, 2), noise(1, 50, 2)
    valid = np.arange(50) < 30
    a[40] = np.nan
    np.testing.assert_allclose(pearson(a, b, valid), pearson(a[:30], b[:30]))


def test_a_constant_column_scores_zero_and_is_named():
    a = np.column_stack([np.full(20, 0.1), np.arange(20.0)])
    np.testing.assert_array_equal(pearson(a, a), [0, 1])
    np.testing.assert_array_equal(is_constant(a), [True, False])


@pytest.mark.parametrize(("a", "b"), [(noise(0, 5, 2), noise(0, 5, 3)), (np.full((5, 1), np.nan), noise(0, 5, 1))])
def test_pearson_refuses_what_it_cannot_score(a, b):
    with pytest.raises(DataError):
        pearson(a, b)


@given(COLUMNS, COLUMNS, st.floats(0.01, 100), st.floats(-100, 100))
def test_pearson_ignores_scale_and_offset_and_is_symmetric(a, b, scale, offset):
    r = pearson(a, b)
    clear = (np.ptp(a, axis=0) > 1e-2) & (np.ptp(b, axis=0) > 1e-2)
    np.testing.assert_allclose(pearson(b, a), r)
    np.testing.assert_allclose(pearson(a * scale + offset, b)[clear], r[clear], atol=1e-6)
    np.testing.assert_allclose(pearson(-a, b), -r)
    assert np.all(np.abs(r) <= 1)


def test_zscore_knows_only_the_training_trs():
    y, train = noise(0, 40, 3) * 5 + 2, np.arange(25)
    z = zscore_train(y, train)
    np.testing.assert_allclose(z[train], stats.zscore(y[train]), atol=1e-12)
    y[30:] = 99
    np.testing.assert_array_equal(zscore_train(y, train)[:30], z[:30])


def test_spearman_brown_doubles():
    np.testing.assert_allclose(spearman_brown(np.array([0.5, -0.2, 1.0])), [2 / 3, 0, 1])


def test_group_ceiling_recovers_the_truth():
    people, signal_sd = 8, np.array([0.0, 0.5, 1.0, 3.0])
    signal = noise(0, 3000, 1) * signal_sd
    scans = signal + noise(1, people, 3000, 4)
    truth = np.sqrt(signal_sd**2 / (signal_sd**2 + 1 / people))
    ceiling = group_ceiling(scans)
    np.testing.assert_allclose(ceiling.values[1:], truth[1:], atol=0.02)
    assert ceiling.values[0] < 0.35
    np.testing.assert_allclose(pearson(scans.mean(0), signal + 1e-9 * noise(2, 3000, 4))[1:], truth[1:], atol=0.02)


def test_repeat_ceiling_recovers_the_truth():
    ceiling = repeat_ceiling(noise(0, 5000, 2) + noise(1, 2, 5000, 2))
    np.testing.assert_allclose(ceiling, np.sqrt(0.5), atol=0.03)


def test_loo_isc_is_agreement_not_a_bound():
    scans = noise(0, 200, 3) + noise(1, 6, 200, 3)
    isc = loo_isc(scans)
    np.testing.assert_allclose(isc.values[2], pearson(scans[2], np.delete(scans, 2, 0).mean(0)))
    assert isc.note == "agreement, not a bound"


def censored(seed=3):
    """Seven people, of whom a third of the volumes was not measured, 0 there, as scans are."""
    there = np.random.default_rng(seed).random((7, 200)) > 1 / 3
    return (noise(0, 200, 3) + noise(1, 7, 200, 3)) * there[..., None], there


def test_volumes_that_were_not_measured_are_in_neither_side_of_the_ceilings():
    scans, there = censored()
    measured = np.ma.array(scans, mask=np.repeat(~there[..., None], 3, axis=2))
    isc = loo_isc(scans, there).values
    for k in (0, 4):
        others = measured[np.arange(7) != k].mean(0)[:, 1]
        both = there[k] & ~others.mask
        assert isc[k, 1] == pytest.approx(stats.pearsonr(scans[k, both, 1], others.data[both])[0])
    order = np.random.default_rng(0).permutation(7)
    first, second = (measured[part].mean(0)[:, 2] for part in (order[:3], order[3:]))
    both = ~(first.mask | second.mask)
    r = stats.pearsonr(first.data[both], second.data[both])[0]
    assert group_ceiling(scans, there, n_splits=1).values[2] == pytest.approx(np.sqrt(2 * r / (1 + r)))


def test_censored_volumes_do_not_lower_agreement():
    """Zeros in the place of what was not measured made people look less alike than they are."""
    scans, there = censored()
    whole = noise(0, 200, 3) + noise(1, 7, 200, 3)
    assert loo_isc(scans).values.mean() < loo_isc(whole).values.mean() - 0.03
    assert loo_isc(scans, there).values.mean() == pytest.approx(loo_isc(whole).values.mean(), abs=0.03)
    scans[~there] = 1e6
    np.testing.assert_allclose(loo_isc(scans, there).values, loo_isc(censored()[0], there).values)
    np.testing.assert_allclose(group_ceiling(scans, there).values, group_ceiling(censored()[0], there).values)


@pytest.mark.parametrize("ceiling", [group_ceiling, loo_isc])
def test_people_who_were_measured_at_other_trs_have_no_ceiling(ceiling):
    there = np.repeat(np.arange(7), 10) == np.arange(7)[:, None]
    got = ceiling(noise(0, 7, 70, 2), there)
    assert got.values is None
    assert got.note.startswith("no ceiling: ")


@pytest.mark.parametrize("ceiling", [group_ceiling, loo_isc])
def test_few_people_have_no_ceiling(ceiling):
    got = ceiling(noise(0, 5, 30, 2))
    assert got.values is None
    assert "5 people" in got.note


def test_ceiling_ratio_is_of_means_over_good_voxels():
    r, ceiling = np.array([0.2, 0.4, 9.0]), np.array([0.4, 0.8, 0.05])
    assert ceiling_ratio(r, ceiling) == pytest.approx(0.5)
    assert ceiling_ratio(r, ceiling, threshold=0.9) is None


def test_null_agrees_with_shifting_by_hand():
    blocks = [slice(3, 53), slice(60, 125)]
    prediction, y = noise(0, 130, 5), noise(1, 130, 5)
    trs = np.r_[3:53, 60:125]
    null = shift_null(prediction, y, blocks, tr_s=1.5, n=300, seed=4)
    shifts = draw_shifts([50, 65], 20, 300, 4)
    assert null.kind == "circular shift"
    assert shifts.min() >= 20
    assert (np.array([50, 65]) - shifts).min() >= 20
    for i in (0, 17, 299 if len(shifts) > 299 else len(shifts) - 1):
        moved = prediction.copy()
        for block, k in zip(blocks, shifts[i], strict=True):
            moved[block] = np.roll(prediction[block], k, axis=0)
        r = pearson(moved[trs], y[trs])
        assert null.r_null[i] == pytest.approx(r.mean())


@pytest.mark.parametrize("lengths", [(50, 65), (30, 25)], ids=["shifts", "phases"])
def test_a_null_is_over_the_trs_that_the_score_is_over(lengths):
    edges = np.cumsum([3, *lengths])
    blocks = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    prediction, y, valid = 2 + noise(0, edges[-1], 4), 5 + noise(1, edges[-1], 4), np.arange(edges[-1]) % 3 > 0
    valid[: edges[0]] = False
    y[~valid] = 0
    null = shift_null(prediction, y, blocks, tr_s=1.5, n=60, seed=4, valid=valid)
    kind, turns = surrogate_turns(blocks, 1.5, 30, 60, 4)
    assert null.kind == kind == ("circular shift" if lengths[0] == 50 else "phase randomised")
    maps = []
    for i in range(60):
        moved = prediction.copy()
        for block, turn in zip(blocks, turns, strict=True):
            moved[block] = turned(prediction, block, turn[i])
        maps.append(pearson(moved, y, valid))
    np.testing.assert_allclose(null.r_null, np.mean(maps, 1), atol=1e-10)
    r = pearson(prediction, y, valid)
    assert null.r == pytest.approx(r.mean())
    np.testing.assert_allclose(null.map_p, (1 + (np.array(maps) >= r - 1e-12).sum(0)) / 61)


def test_a_null_is_the_same_some_voxels_at_a_time(monkeypatch):
    series = [noise(0, 120, 7), noise(1, 120, 7), [slice(0, 120)], 1.5]
    whole = shift_null(*series)
    monkeypatch.setattr("giblet.analysis.nulls.VALUES", 1)
    parts = shift_null(*series)
    for field in ("r", "r_null", "map_p"):
        np.testing.assert_allclose(getattr(parts, field), getattr(whole, field), atol=1e-12)


def test_people_are_shifted_together():
    blocks, x, y = [slice(0, 120)], noise(0, 120, 6), noise(1, 120, 6)
    each = [shift_null(x[:, some], y[:, some], blocks, 1.5) for some in (slice(0, 3), slice(3, 6))]
    one, both = shift_null(x, y, blocks, 1.5), mean_null(each)
    assert (both.r, both.p, both.p95) == pytest.approx((one.r, one.p, one.p95))
    np.testing.assert_allclose(both.map_p, one.map_p)


def test_each_block_has_shifts_of_its_own():
    """Independent, also where blocks are as long as each other, and phases too."""
    shifts = draw_shifts([100, 100], 20, 1000, 0)
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1
    one, other = random_phases([20, 20], 1000, 0)
    assert abs(np.mean(one[:, 1:] * other[:, 1:].conj())) < 0.1


def test_all_shifts_are_used_where_there_are_few():
    null = shift_null(noise(0, 100, 2), noise(1, 100, 2), [slice(0, 100)], tr_s=1.5)
    assert len(null.r_null) == 61
    assert null.p >= 1 / 62


def test_short_blocks_get_phase_randomised_predictions_and_say_so():
    prediction = noise(0, 50, 2)
    null = shift_null(prediction, prediction, [slice(0, 50)], tr_s=2.0, n=99)
    assert null.kind == "phase randomised"
    assert null.p == pytest.approx(0.01)
    np.testing.assert_allclose(null.map_p, 0.01)


@given(st.integers(4, 40), st.integers(0, 5))
def test_phase_randomising_keeps_the_spectrum_and_the_mean(length, seed):
    x = noise(seed, length, 2)
    (turn,) = random_phases([length], 1, seed)
    moved = turned(x, slice(0, length), turn[0])
    np.testing.assert_allclose(np.abs(np.fft.rfft(moved, axis=0)), np.abs(np.fft.rfft(x, axis=0)), atol=1e-9)
    np.testing.assert_allclose(moved.mean(0), x.mean(0), atol=1e-12)


def test_circular_turns_are_rolls_inside_the_block():
    blocks = [slice(0, 90), slice(90, 180)]
    _, turns = surrogate_turns(blocks, 1.5, 30, 50, 0)
    shifts = draw_shifts([90, 90], 20, 50, 0)
    x = noise(0, 180, 3)
    np.testing.assert_allclose(turned(x, blocks[1], turns[1][7]), np.roll(x[90:], shifts[7, 1], axis=0), atol=1e-10)


def test_p_is_uniform_when_nothing_is_related():
    def smooth(seed):
        return np.apply_along_axis(np.convolve, 0, noise(seed, 260, 4), np.ones(5), "valid")

    p = [shift_null(smooth(2 * i), smooth(2 * i + 1), [slice(0, 256)], tr_s=1.0).p for i in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_true_relation_passes_every_threshold():
    y = noise(0, 120, 10)
    prediction = y + noise(1, 120, 10)
    prediction[:, 5:] = noise(2, 120, 5)
    null = shift_null(prediction, y, [slice(0, 120)], tr_s=1.0)
    assert null.r > null.p95
    assert null.p == pytest.approx(1 / (1 + len(null.r_null)))
    assert fdr(null.map_p)[:5].all()


def test_a_constant_prediction_beats_nothing():
    null = shift_null(np.ones((120, 3)), noise(0, 120, 3), [slice(0, 120)], tr_s=1.0)
    assert (null.r, null.p, null.p95) == (0.0, 1.0, 0.0)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, 20, elements=st.floats(1e-6, 1)))
def test_fdr_is_benjamini_hochberg(p):
    order = np.sort(p)
    passed = np.flatnonzero(order <= 0.05 * np.arange(1, 21) / 20)
    expected = p <= order[passed[-1]] if len(passed) else np.zeros(20, bool)
    np.testing.assert_array_equal(fdr(p), expected)
