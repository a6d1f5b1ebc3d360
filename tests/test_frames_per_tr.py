"""Keeping some frames of each TR: evenly spaced in time, as an index, on the way in and on the way out."""

from fractions import Fraction

import numpy as np
import pytest
from giblet import Features, TRGrid, stages
from giblet.alignment import bin_frames, bin_spread, unbin
from giblet.data.feature_files import read_features, write_features
from giblet.data.split import Block
from giblet.errors import DataError, PluginError
from giblet.pipeline.clocks import Clock
from giblet.pipeline.reconstruct import cut
from giblet.plugins import Registry
from giblet.testing import Case
from giblet.testing.clock import (
    check_align_conserves_frames,
    check_missing_time_is_masked,
    check_shifting_the_clock_shifts_the_rows,
)
from giblet.types import Aligned
from giblet.video import film_pictures, film_summary
from hypothesis import given
from hypothesis import strategies as st

TR_S = Fraction(3, 2)
PLUGINS = ["video_2dcnn", "video_s3d"]


def film(ticks, timebase=Fraction(1, 1000)):
    """A film whose frame n is n everywhere."""
    n = np.arange(len(ticks), dtype=np.uint8)
    return Features(np.broadcast_to(n[:, None, None, None], (len(n), 2, 2, 3)), np.array(ticks, np.int64), timebase)


rates = st.builds(
    lambda steps, first: film(first + np.cumsum([0, *steps])),
    st.lists(st.integers(0, 400), min_size=1, max_size=60),
    st.integers(-2000, 3000),
)
grids = st.builds(TRGrid, st.fractions(Fraction(1, 3), 3, max_denominator=30), st.integers(0, 6), st.fractions(0, 2))


@given(features=rates, grid=grids, per_tr=st.integers(1, 50))
def test_kept_frames_are_of_their_tr_in_order_and_none_twice(features, grid, per_tr):
    every, some = bin_frames(features, grid), bin_spread(features, grid, per_tr)
    assert (some.count <= np.minimum(every.count, per_tr)).all()
    assert ((some.count > 0) == (every.count > 0)).all()
    assert (np.diff(some.kept) > 0).all()
    for t in range(grid.n_trs):
        mine = some.places(slice(t, t + 1))
        assert ((mine >= every.first[t]) & (mine < every.first[t] + every.count[t])).all()
    rows, mask = some.rows(slice(None))
    assert mask.sum() == len(some.kept)
    np.testing.assert_array_equal(unbin(rows, some.count), features.values[some.kept])


@given(features=rates, grid=grids, per_tr=st.integers(1, 50))
def test_at_most_one_frame_in_each_part_of_a_tr(features, grid, per_tr):
    some = bin_spread(features, grid, per_tr)
    part_s = grid.tr_s / per_tr
    parts = [(int(t) * features.timebase - grid.start_s) // part_s for t in features.ticks[some.kept]]
    assert len(set(parts)) == len(parts)


@given(features=rates, grid=grids, per_tr=st.integers(1, 20), k=st.integers(1, 3))
def test_shifting_the_clock_shifts_what_is_kept(features, grid, per_tr, k):
    long = bin_spread(features, TRGrid(grid.tr_s, grid.n_trs + k, grid.start_s), per_tr)
    late = bin_spread(features, TRGrid(grid.tr_s, grid.n_trs, grid.start_s + k * grid.tr_s), per_tr)
    np.testing.assert_array_equal(late.places(slice(None)), long.places(slice(k, None)))


def test_frames_are_spread_by_time_not_by_number():
    slow, fast = np.arange(0, 750, 250), np.arange(750, 1500, 10)
    aligned = bin_spread(film([*slow, *fast]), TRGrid(TR_S, 1), 6)
    times_ms = aligned.features.ticks[aligned.kept]
    np.testing.assert_array_equal(times_ms, [0, 250, 500, 880, 1130, 1380])


def test_a_constant_rate_gives_as_many_of_every_tr_an_even_distance_apart():
    aligned = bin_spread(film(range(200), Fraction(1, 25)), TRGrid(TR_S, 5), 12)
    assert aligned.count.tolist() == [12] * 5
    assert set(np.diff(aligned.kept).tolist()) <= {3, 4}


def test_frames_that_go_back_in_time_are_refused():
    with pytest.raises(DataError, match="backwards"):
        bin_spread(film([0, 40, 20]), TRGrid(TR_S, 1), 4)


@pytest.mark.parametrize("name", PLUGINS)
def test_nothing_is_copied_and_the_nets_have_as_many_frames(name, tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (150, 18, 32, 3), dtype=np.uint8)
    write_features(tmp_path / "film", [Features.regular(values, 25)], name)
    stored = read_features(tmp_path / "film")
    registry = Registry.discover()
    modality = registry.modality(name, frames_per_tr=6)
    aligned = stages.align(registry, modality, stored, TRGrid(TR_S, 4))
    assert aligned.features.values is stored.values
    assert isinstance(stored.values, np.memmap)
    assert modality.spec(aligned).frames == 6
    rows, mask = aligned.rows(np.array([3, 1]))
    assert mask.all()
    np.testing.assert_array_equal(rows[1], values[aligned.places(slice(1, 2))])
    assert film_summary(aligned).shape == (4, 635)


@pytest.mark.parametrize("name", PLUGINS)
def test_what_comes_back_is_at_the_rate_of_what_was_kept(name):
    modality = Registry.discover().modality(name, frames_per_tr=6)
    aligned = modality.align(film(range(250), Fraction(1, 25)), TRGrid(TR_S, 6))
    made = cut(aligned, Block("test", 1, 5))
    np.testing.assert_array_equal(made.values[:, 0, 0, 0], aligned.kept[6:30])
    pictures, rate_hz = film_pictures(made)
    length_s = len(list(pictures)) / rate_hz
    assert abs(length_s - 4 * TR_S) < TR_S / 6


def test_lists_with_an_entry_a_sample_follow_what_is_kept():
    features = film(range(75), Fraction(1, 25))
    named = features.with_values(features.values, names=[f"frame {i}" for i in range(75)])
    aligned = bin_spread(named, TRGrid(TR_S, 2), 3)
    made = cut(aligned, Block("test", 1, 2))
    assert made.attrs["names"] == [f"frame {i}" for i in aligned.places(slice(1, 2))]


def test_a_scan_without_a_film_is_decoded_at_the_rate_that_was_kept():
    modality = Registry.discover().modality("video_s3d", frames_per_tr=6)
    features, grid = film(range(250), Fraction(1, 25)), TRGrid(TR_S, 4)
    blank = Clock.of(features).blank(modality, modality.spec(modality.align(features, grid)), grid)
    assert blank.count.tolist() == [6] * 4


def test_an_index_beyond_the_samples_is_refused():
    class Wrong:
        def align(self, features, grid):
            return Aligned(features, grid, np.array([0]), np.array([2]), np.array([0, 99]))

    registry = Registry.discover()
    modality = registry.modality("video_s3d")
    object.__setattr__(modality, "align", Wrong().align)
    with pytest.raises(PluginError, match="after the last one"):
        stages.align(registry, modality, film(range(10)), TRGrid(TR_S, 1))


@pytest.mark.parametrize("name", PLUGINS)
def test_the_conformance_kit_knows_the_law_of_what_is_kept(name):
    modality = Registry.discover().modality(name, frames_per_tr=5, width_px=32, height_px=18)
    case = Case(modality)
    for check in (check_align_conserves_frames, check_shifting_the_clock_shifts_the_rows, check_missing_time_is_masked):
        check(case)
