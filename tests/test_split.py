"""Splits: blocks in time that never overlap, with the gap between purposes always kept."""

from itertools import combinations

import pytest
from giblet.data.split import LABELS, MIN_TRS, block_split, given_split, plumbing_split, required_gap_s
from giblet.errors import ConfigError, DataError
from hypothesis import example, given
from hypothesis import strategies as st

SHARES = st.floats(0.05, 0.95)


def lengths_of(runs):
    return {f"run-{i}": n for i, n in enumerate(runs)}


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.integers(0, 120), SHARES, SHARES)
@example([320, 320], 40, 0.7, 0.1)
@example([20, 20, 20], 40, 1 / 3, 1 / 3)
def test_any_split_keeps_its_laws_or_is_refused(runs, gap, train, validation):
    lengths = lengths_of(runs)
    try:
        split = block_split(lengths, gap, train, validation)
    except DataError:
        return
    assert set(split) == set(lengths)
    order = [(i, b) for i, blocks in enumerate(split.values()) for b in blocks]
    for run, blocks in split.items():
        assert all(0 <= b.start < b.stop <= lengths[run] and b.stop - b.start >= MIN_TRS for b in blocks)
        for a, b in combinations(blocks, 2):
            assert b.start - a.stop >= (gap if a.label != b.label else 0)
    assert [b.label for _, b in order] == sorted((b.label for _, b in order), key=LABELS.index)
    for label in LABELS:
        assert sum(b.stop - b.start for _, b in order if b.label == label) >= MIN_TRS


@given(st.integers(400, 2000), st.integers(0, 60))
def test_one_long_run_is_cut_into_the_shares_asked_for(n, gap):
    (blocks,) = block_split({"a": n}, gap, 0.7, 0.1).values() if 0.1 * (n - 2 * gap) >= 21 else [None]
    if blocks is None:
        return
    sizes = [b.stop - b.start for b in blocks]
    assert sum(sizes) == n - 2 * gap
    assert sizes[0] == round(0.7 * (n - 2 * gap))
    assert blocks[-1].stop == n


def test_no_gap_is_lost_where_runs_part():
    split = block_split({"a": 100, "b": 60, "c": 40}, 0, 0.5, 0.3)
    assert [(b.label, b.start, b.stop) for blocks in split.values() for b in blocks] == [
        ("train", 0, 100),
        ("validation", 0, 60),
        ("test", 0, 40),
    ]


def test_slivers_at_a_runs_edge_belong_to_nothing():
    split = block_split({"a": 200, "b": 200, "c": 200}, 10, 0.35, 0.3)
    assert all(b.stop - b.start >= MIN_TRS for blocks in split.values() for b in blocks)
    assert split["b"][0].label == "validation"
    assert split["a"][-1].label == "train"


def test_too_short_names_the_ways_out():
    with pytest.raises(DataError, match=r"20 TRs leave \d+ for train after gaps of 40 TRs, and 20 .*--plumbing"):
        block_split({"a": 20}, 40, 0.7, 0.1)


def test_plumbing_holds_out_nothing():
    split = plumbing_split({"a": 20})
    assert [(b.label, b.trs) for b in split["a"]] == [(label, slice(0, 20)) for label in LABELS]


@pytest.mark.parametrize(("kernel_s", "context_s", "gap_s"), [(10, 0, 60), (30, 0, 60), (30, 10, 70), (60, 30, 150)])
def test_the_gap_is_as_long_as_all_that_reaches_across(kernel_s, context_s, gap_s):
    assert required_gap_s(kernel_s, context_s) == gap_s


GOOD = [("train", 0, 100), ("validation", 140, 200), ("test", 240, 300)]


def test_a_split_that_is_given_is_kept_in_order_of_time():
    split = given_split({"a": GOOD[::-1]}, {"a": 300, "b": 50}, 40)
    assert [(b.label, b.start, b.stop) for b in split["a"]] == GOOD
    assert split["b"] == []


@pytest.mark.parametrize(
    ("run", "rows", "said"),
    [
        ("c", GOOD, r"names run 'c'; the study has: a, b"),
        ("a", [("tets", 240, 300)], r"'tets' is none of train, validation, test"),
        ("a", [("train", -1, 100)], "TRs -1 to 100 are not inside 0 to 300"),
        ("a", [("train", 0, 301)], "TRs 0 to 301 are not inside"),
        ("a", [("train", 50, 50)], "TRs 50 to 50 are not inside"),
        ("a", [("train", 0, 101), *GOOD[1:]], "train ends at TR 101 and validation begins at 140; at least 40 TRs"),
        ("a", [("train", 0, 60), ("train", 59, 100), *GOOD[1:]], "train ends at TR 60 and train begins at 59"),
        ("a", [("train", 0, 100), ("test", 10, 30), *GOOD[1:]], "train ends at TR 100 and test begins at 10"),
    ],
)
def test_a_given_split_that_cannot_be_meant(run, rows, said):
    with pytest.raises(ConfigError, match=said):
        given_split({run: rows}, {"a": 300, "b": 50}, 40)


def test_a_given_split_without_a_test_block():
    with pytest.raises(DataError, match="leave 0 for test"):
        given_split({"a": GOOD[:2]}, {"a": 300}, 40)


@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 300), st.integers(0, 300)), max_size=6),
    st.integers(0, 50),
)
def test_whatever_is_given_overlaps_never(rows, gap):
    try:
        blocks = given_split({"a": rows}, {"a": 300}, gap)["a"]
    except (ConfigError, DataError):
        return
    for a, b in combinations(blocks, 2):
        assert b.start - a.stop >= (gap if a.label != b.label else 0)
