"""The benchmarks of training: what the drill compares, and what the table of the loop judges."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A benchmark as a module, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__
    for name in ("made_study", "faults", "trainer"):
        sys.modules.pop(name, None)


def leave(place, r=0.1, seconds=1.0, weights=b"w", validation=0.5):
    """What a run leaves, in small."""
    run = place / "run"
    (run / "model").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "metrics.json").write_text(json.dumps({"fmri": {"r": r}, "command": str(place), "machine": seconds}))
    rows = [{"stage": "trunk", "step": 5, "validation": v, "seconds": seconds} for v in (0.9, validation)]
    (run / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (run / "model" / "weights.safetensors").write_bytes(weights)
    return place


def test_runs_are_compared_without_times_and_paths_and_with_all_else(load, tmp_path):
    left_by = load("faults").left_by
    known = left_by(leave(tmp_path / "a"))
    assert left_by(leave(tmp_path / "b", seconds=2.0)) == known
    others = [{"r": 0.2}, {"weights": b"x"}, {"validation": 0.4}]
    assert all(left_by(leave(tmp_path / f"c{k}", **other)) != known for k, other in enumerate(others))
    (tmp_path / "a" / "run" / ".step-00000003").write_text("half")
    assert left_by(tmp_path / "a") != known


def test_the_drill_says_how_far_a_run_had_come(load, tmp_path):
    stage_of = load("faults").stage_of
    assert stage_of(tmp_path) == "extraction"
    assert stage_of(leave(tmp_path)) == "report"
    (tmp_path / "run" / "metrics.json").unlink()
    assert stage_of(tmp_path) == "evaluation"


def test_the_loop_is_judged_by_time_data_and_losses(load):
    misses = load("trainer").misses
    good = {"giblet": {"ratio": 1.01}, "data": {"ratio": 0.01}}
    assert misses({"trunk": good}, {"trunk": {"difference": 1e-7}}) == []
    slow = {"giblet": {"ratio": 1.05}, "data": {"ratio": 0.2}}
    assert len(misses({"trunk": slow}, {"trunk": {"difference": 1e-3}})) == 3
