"""Exact time: no frame lost, doubled or drifting."""

from fractions import Fraction

import numpy as np
from giblet import Features, TRGrid, seconds
from giblet.alignment import bin_frames, resample, unbin
from giblet.alignment.grid import overlap, tr_index
from hypothesis import example, given
from hypothesis import strategies as st

TRS = st.sampled_from(["0.72", "1.0", "1.5", "2.0", "2.0045", "0.8"])
RATES = st.sampled_from([Fraction(25), Fraction(75), Fraction(24000, 1001), Fraction(22050, 256), Fraction(12)])


def test_920_trs_of_encodec_lose_nothing():
    features = Features.regular(np.arange(103_500), 75)
    aligned = bin_frames(features, TRGrid(seconds("1.5"), 920))
    assert set(aligned.count.tolist()) == {112, 113}
    values, _ = aligned.rows(slice(None))
    np.testing.assert_array_equal(unbin(values, aligned.count), np.arange(103_500))
    assert aligned.first.tolist() == [-(-i * 225 // 2) for i in range(920)]


@given(tr=TRS, rate=RATES, n=st.integers(0, 3000), start=st.sampled_from(["0", "0.08", "20", "-3.5"]))
def test_every_frame_in_exactly_one_tr(tr, rate, n, start):
    features = Features.regular(np.arange(n), rate)
    grid = TRGrid(seconds(tr), 40, seconds(start))
    aligned = bin_frames(features, grid)
    expected = [i for i in range(n) if grid.start_s <= Fraction(i) / rate < grid.stop_s]
    assert unbin(aligned.rows(slice(None))[0], aligned.count).tolist() == expected
    for t in range(0, 40, 7):
        for i in range(aligned.first[t], aligned.first[t] + aligned.count[t]):
            assert grid.start_s + t * grid.tr_s <= Fraction(int(i)) / rate < grid.start_s + (t + 1) * grid.tr_s


@given(tr=TRS, k=st.integers(0, 20))
def test_shifting_the_clock_by_trs_shifts_the_rows(tr, k):
    features = Features.regular(np.arange(2000), 25)
    whole = bin_frames(features, TRGrid(seconds(tr), 30))
    later = bin_frames(features, TRGrid(seconds(tr), 30 - k, k * seconds(tr)))
    np.testing.assert_array_equal(later.first, whole.first[k:])
    np.testing.assert_array_equal(later.count, whole.count[k:])


@given(
    ticks=st.lists(st.integers(-(10**6), 10**6), max_size=20),
    tr=st.fractions(Fraction(1, 3), 3),
    start=st.fractions(-5, 5),
)
@example(ticks=[0, 0], tr=Fraction(37, 21), start=Fraction(1, 281474976710651))
def test_trs_are_those_of_exact_fractions_whatever_the_clocks(ticks, tr, start):
    found = tr_index(np.array(ticks, np.int64), Fraction(1, 1000), TRGrid(tr, 10, start))
    assert found.tolist() == [(Fraction(tick, 1000) - start) // tr for tick in ticks]


def test_resample_nearest_keeps_codes_and_linear_keeps_lines():
    codes = np.array([0, 1023, 5, 700])
    assert set(resample(codes, 9, discrete=True).tolist()) <= set(codes.tolist())
    line = np.arange(20.0)[:, None]
    np.testing.assert_allclose(np.diff(resample(line, 40, discrete=False)[2:-2], axis=0), 0.5)


def test_overlap_reports_what_it_cuts():
    cut = overlap(Fraction(1426), 1976, seconds("1.5"), Fraction(0))
    assert cut.n_trs == 951
    assert cut.cut_scan_s == (1976 - 951) * 1.5
