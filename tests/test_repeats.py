"""Ceilings from people who saw the same seconds again."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from giblet.analysis.bold import bold_metrics, score_bold
from giblet.analysis.repeats import repeat_ceilings, repeated_trs
from giblet.config import EvaluateConfig, ModelConfig, RunConfig
from giblet.data.split import Block
from giblet.training import compute_codes
from giblet.types import TRGrid

CONFIG = RunConfig(
    model=ModelConfig(latent=16, hidden=16, kernel_s=24.0), evaluate=EvaluateConfig(banded_candidates=3, null_shifts=40)
)
FILMS = {"1": {"film"}, "2": {"film", "its sound"}, "3": {"another film"}}
TR_S = Fraction(3, 2)


@pytest.fixture
def again(world):
    """Three runs of two people, of whom the second run begins 15 TRs later in the film of the first."""

    def run(name, late_trs):
        blocks = tuple(Block(b.label, b.start - late_trs, b.stop - late_trs) for b in world.blocks if b.start)
        blocks, everywhere = (Block("train", 0, 120 - late_trs), *blocks), dict.fromkeys("ab", np.ones(260, bool))
        return replace(world, run=name, grid=TRGrid(TR_S, 260, late_trs * TR_S), blocks=blocks, scanned=everywhere)

    return [run("1", 0), run("2", 15), run("3", 0)]


def test_pairs_are_the_same_seconds_of_the_same_film(again):
    first, second = repeated_trs(again, FILMS, "a")
    assert first.tolist() == list(range(210, 260))
    assert (second - 260 + 15).tolist() == first.tolist()
    np.testing.assert_array_equal(repeated_trs(again[:2], FILMS, "a"), (first, second))
    assert len(repeated_trs([again[0], again[2]], FILMS, "a")[0]) == 0
    between = replace(again[1], grid=TRGrid(TR_S, 260, Fraction(1)))
    assert len(repeated_trs([again[0], between], FILMS, "a")[0]) == 0


def test_what_was_not_measured_both_times_is_no_pair(again):
    gone = again[1].scanned["a"] & (np.arange(260) != 200)
    partly = [again[0], replace(again[1], scanned=again[1].scanned | {"a": gone})]
    first, _ = repeated_trs(partly, FILMS, "a")
    assert set(range(210, 260)) - set(first.tolist()) == {215}


def noisy(again, people=("a", "b")):
    """Scans of every run: a signal of the film's seconds, and as much noise."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((300, 400))
    made = []
    for t in again:
        late = int(t.grid.start_s / TR_S)
        made.append({s: signal[late : late + 260] + rng.standard_normal((260, 400)) for s in people})
    return {s: np.concatenate([m[s] for m in made]).astype(np.float32) for s in people}


def test_ceilings_are_the_root_of_the_reliability(again):
    found = repeat_ceilings(again, FILMS, noisy(again), ["a", "b"])
    assert found.kind == "repeats"
    assert found.values.shape == (2, 400)
    assert np.square(found.values).mean() == pytest.approx(0.5, abs=0.02)
    assert "at least 50 test TRs" in found.note


def test_without_repeats_of_everybody_there_are_none(again):
    assert repeat_ceilings(again, {}, noisy(again), ["a", "b"]) is None
    lone = replace(again[1], scans={"a": again[1].scans["a"]}, scanned={"a": again[1].scanned["a"]})
    assert repeat_ceilings([again[0], lone], FILMS, noisy(again[:2]), ["a", "b"]) is None


def test_a_report_of_two_people_has_a_ceiling_where_they_saw_the_test_again(build, again):
    _, _, nets = build(again[0], CONFIG)
    codes = compute_codes(again, nets, {}, CONFIG.model, lambda *_: None)
    predicted = [{s: y.copy() for s, y in t.scans.items()} for t in again]
    args = again, codes, predicted, ["a", "b"], CONFIG, 10
    with_repeats, without = (score_bold(*args, films=films) for films in (FILMS, None))
    assert with_repeats.ceilings["people"].kind == "repeats"
    assert without.ceilings["people"].values is None
    found = bold_metrics(with_repeats, {})
    assert found["ceiling"] == pytest.approx(with_repeats.ceilings["people"].values.mean())
    assert found["ceiling_kind"].startswith("repeats: sqrt(repeat reliability)")
    assert found["group"]["ceiling"] is None
