"""Runs that show the same film: no second of it is tested that another run trains on."""

from fractions import Fraction
from itertools import combinations

import pytest
from giblet.config import build_config
from giblet.data.parts import Study
from giblet.data.shared_films import leaders
from giblet.data.split import LABELS
from giblet.errors import ConfigError
from giblet.pipeline.splits import draw_split
from giblet.types import TRGrid
from hypothesis import given
from hypothesis import strategies as st

TR_S = Fraction(3, 2)


def study(**split):
    return Study("twice", None, (), (), split)


def config(**split):
    return build_config({}, {"split": {"gap_s": 60, **split}}, seed=0, plumbing=False)


def spans(split, grids, run, *labels):
    """The seconds of the film under some labels, block by block."""
    grid = grids[run]
    at = [(b.start, b.stop) for b in split[run] if b.label in labels]
    return [(grid.start_s + a * grid.tr_s, grid.start_s + b * grid.tr_s) for a, b in at]


def least_apart(split, grids):
    """The seconds of the film between two purposes, over all runs; negative where they overlap."""
    by_label = [[t for run in grids for t in spans(split, grids, run, label)] for label in LABELS]
    return min(max(a, c) - min(b, d) for x, y in combinations(by_label, 2) for a, b in x for c, d in y)


@given(st.lists(st.tuples(st.integers(300, 500), st.integers(-40, 40)), min_size=2, max_size=4), st.integers(1, 3))
def test_a_film_that_several_runs_show_has_one_split(shapes, fold):
    grids = {f"run-{i}": TRGrid(TR_S, n, Fraction(offset, 4)) for i, (n, offset) in enumerate(shapes)}
    films = dict.fromkeys(grids, frozenset(["film.mp4"]))
    for chosen in (config(), config(folds=3, fold=fold)):
        split = draw_split(study(), chosen, grids, 40, films)
        assert list(split) == list(grids)
        assert any(b.label == "test" for blocks in split.values() for b in blocks)
        assert all(0 <= b.start < b.stop <= grids[run].n_trs for run, blocks in split.items() for b in blocks)
        assert least_apart(split, grids) >= 40 * TR_S


def test_other_films_are_split_as_ever():
    grids = {"a": TRGrid(TR_S, 300), "b": TRGrid(TR_S, 300)}
    films = {"a": frozenset(["a.mp4"]), "b": frozenset(["b.mp4"])}
    assert draw_split(study(), config(), grids, 40, films) == draw_split(study(), config(), grids, 40)


def test_runs_are_joined_through_a_third():
    grids = {r: TRGrid(TR_S, n) for r, n in (("a", 100), ("b", 90), ("c", 120), ("d", 10))}
    films = {"a": {"x"}, "b": {"y"}, "c": {"x", "y"}, "d": {"z"}}
    assert leaders(grids, films) == {"a": "c", "b": "c", "c": "c", "d": "d"}


def test_a_stated_split_that_tests_what_another_run_trains_on_is_refused():
    grids = {"a": TRGrid(TR_S, 300), "b": TRGrid(TR_S, 300)}
    films = dict.fromkeys(grids, frozenset(["film.mp4"]))
    blocks = {"a": (("train", 0, 200), ("validation", 240, 260)), "b": (("test", 150, 200),)}
    with pytest.raises(
        ConfigError, match="a and b show the same film, and its seconds 225 to 300 are train in a, test"
    ):
        draw_split(study(**blocks), config(), grids, 40, films)
    close = blocks | {"a": (("train", 0, 111), ("validation", 240, 260))}
    with pytest.raises(
        ConfigError,
        match=r"the same film, and 58\.5 s of it lie between train in a and test in b; make that at least 60 s",
    ):
        draw_split(study(**close), config(), grids, 40, films)
    assert draw_split(study(**close), config(), grids, 39, films)["b"][0].label == "test"
    alike = {"a": (("train", 0, 150), ("validation", 190, 210)), "b": (("test", 250, 290),)}
    assert draw_split(study(**alike), config(), grids, 40, films)["b"][0].label == "test"
