"""The benchmarks of size: what they make, watch and judge."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from giblet.data.study import load_study
from giblet.media import video_streams

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A benchmark as a module, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__
    for name in ("made_study", "watched_process", "growth", "memory", "full_size"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("voxels", [1, 7, 1000, 4000, 83_300])
def test_a_box_has_exactly_so_many_voxels(load, voxels):
    sides = load("made_study").box(voxels)
    assert np.prod(sides) == voxels
    assert voxels < 8 or max(sides) < 3 * min(sides)


def test_made_studies_are_of_the_size_asked_for(load, tmp_path):
    made = load("made_study").make_study(tmp_path, 25, 30, 3, runs=2, distinct=2)
    study = load_study(made)
    assert [(s.subject, s.run, s.n_volumes) for s in study.scans[::2]] == [
        ("sub-01", "run-0", 25),
        ("sub-03", "run-0", 25),
        ("sub-02", "run-1", 25),
    ]
    images = {s.subject: np.asarray(nib.load(s.bold).dataobj) for s in study.scans if s.run == "run-0"}
    assert images["sub-01"].size == 25 * 30
    assert 45 < images["sub-01"].std() < 55
    assert not np.array_equal(images["sub-01"], images["sub-02"])
    np.testing.assert_array_equal(images["sub-01"], images["sub-03"])
    assert np.asarray(nib.load(tmp_path / "mask.nii").dataobj).sum() == 30


def test_a_made_film_is_as_long_as_asked_for(load, tmp_path):
    made = load("made_study").make_study(tmp_path, 0, 0, 0, film_s=2.0)
    (stimulus,) = load_study(made).stimuli
    (stream,) = video_streams(stimulus.files["video"])
    assert (stream.width, stream.height, float(stream.rate_hz)) == (160, 90, 25)


HOLD = """
import numpy
progress("small", 0, 1)
time.sleep(0.1)
progress("large", 0, 1)
held = numpy.ones(asked["n"], numpy.uint8)
time.sleep(0.1)
told(n=len(held))
"""


def test_a_process_is_watched_stage_by_stage(load):
    seen = load("watched_process").watch(HOLD, n=80_000_000)
    assert seen.told == {"n": 80_000_000}
    grown = seen.by_stage["large"]["private"] - seen.by_stage["small"]["private"]
    assert grown == pytest.approx(80e6, rel=0.1)
    assert seen.by_stage["small"]["seconds"] == pytest.approx(0.1, abs=0.1)
    assert seen.private >= seen.by_stage["large"]["private"]
    assert seen.resident > seen.private


def test_what_is_beyond_the_limit_is_refused(load):
    watch = load("watched_process").watch
    assert watch(HOLD, limit_bytes=400_000_000, n=80_000_000).told == {"n": 80_000_000}
    with pytest.raises(RuntimeError, match="MemoryError"):
        watch(HOLD, limit_bytes=400_000_000, n=900_000_000)


def test_a_line_is_told_from_a_parabola(load):
    line = load("growth").line
    n = [100, 200, 400, 800]
    straight, bent = line(n, [3 + 0.02 * k for k in n]), line(n, [3 + 2e-5 * k * k for k in n])
    assert straight == pytest.approx({"begin_s": 3, "slope_s": 0.02, "r2": 1, "bend": 0}, abs=1e-9)
    assert bent["bend"] == pytest.approx(2e-5 * 800**2 / (3 + 2e-5 * 800**2))
    assert bent["r2"] < load("growth").LEAST_R2


def test_growth_that_is_no_line_or_holds_the_film_misses_its_bar(load):
    growth = load("growth")

    def rows(what, seconds, held):
        return [
            {"what": what, "n": n, "extraction": s, "training": 1.0 + n, "extraction_bytes": b, "training_bytes": b}
            for n, s, b in zip((1, 2, 4, 8), seconds, held, strict=True)
        ]

    good = rows("TRs of one run", (1, 2, 4, 8), (9,) * 4) + rows("minutes of film", (1, 2, 4, 8), (100, 100, 101, 105))
    assert growth.missed(good, growth.fits(good)) == []
    bad = rows("TRs of one run", (1, 4, 16, 64), (9,) * 4) + rows("minutes of film", (1, 2, 4, 8), (100, 150, 200, 300))
    first, second = growth.missed(bad, growth.fits(bad))
    assert first.startswith("extraction in TRs of one run: R2 0.9")
    assert second == "memory of extraction: 3.00 times for 8 times the film"
