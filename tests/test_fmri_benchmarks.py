"""The benchmarks of reading scans and of hemodynamics, on little."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A benchmark as a module, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__
    for name in ("fmri_io", "hemodynamics", "real_scans", "real_studies", "paired"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_reading_is_timed_and_compared(load, tmp_path, monkeypatch):
    fmri_io = load("fmri_io")
    monkeypatch.setattr(fmri_io, "SHAPE", (9, 10, 8))
    monkeypatch.setattr(fmri_io, "VOLUMES", 40)
    scan, packed, mask = fmri_io.make_scan(tmp_path)
    assert scan.stat().st_size > packed.stat().st_size
    assert fmri_io.same_values(scan, mask, tmp_path)
    row = fmri_io.row(".nii", scan, mask, 1, bar=True)
    assert row["ratio"] == pytest.approx(row["ours"]["seconds"] / row["apply_mask"]["seconds"])
    assert row["missed"] == (row["ratio"] > 0.5 or row["ours"]["peak_bytes"] > 600e6)


def test_differences_are_paired_by_block_and_seed(load, capsys):
    hemodynamics = load("hemodynamics")
    r = {"learned": [[0.1, 0.3], [0.2, 0.4]], "none": [[0.0, 0.1], [0.3, 0.5]]}
    hemodynamics.show({"study": "s", "people": 3, "features": "f", "r": r}, [0, 1])
    learned, none = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert learned[:4] == ["learned", "0.250", "0.050", "0.100"]
    assert none[:8] == ["none", "0.225", "0.175", "0.075", "-0.025", "1", "of", "2"]
