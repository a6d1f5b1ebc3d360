"""The real recordings that the benchmarks read, as studies: where they lie, and what is known of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from giblet.data.study import Study, load_study, study_from_flags
from giblet.errors import DataError
from giblet.media import read_table

ALICE_TR_S, ALICE_TRS, ALICE_START_S = 2, 362, 20
BROKEN = "s33"
"""Its columns are constant and its file is short."""


@dataclass(frozen=True)
class RealStudy:
    """A study with the test blocks that it allows: `folds` of them, `gap_s` seconds apart from training."""

    study: Study
    features: str
    settings: Mapping[str, dict[str, Any]]
    folds: int
    gap_s: float
    has_bar: bool = False


def data_folder() -> Path:
    """The folder of recordings.

    Raises
    ------
    DataError
        If GIBLET_TEST_DATA names none.
    """
    folder = Path(os.environ.get("GIBLET_TEST_DATA", "../shared/data")).resolve()
    if not folder.is_dir():
        raise DataError(f"no real data at {folder}; set GIBLET_TEST_DATA")
    return folder


def alice(data: Path, folder: Path) -> RealStudy:
    """27 people who heard a chapter: text, word rate, and sound power, which is under an HRF already; 6 regions.

    A word is read with all that was said in the 10 s before it ends.
    """
    settings = {"text": {"weights": "minilm", "context_s": 10}}
    what = "text of the last 10 s (MiniLM), word rate, sound power"
    return RealStudy(alice_study(data, folder), what, settings, folds=5, gap_s=60, has_bar=True)


def alice_by_word(data: Path, folder: Path) -> RealStudy:
    """The same with each word read by itself, which is the default of `text.context_s`."""
    what = "text, each word by itself (MiniLM), word rate, sound power"
    return RealStudy(alice_study(data, folder), what, {"text": {"weights": "minilm"}}, folds=5, gap_s=60, has_bar=True)


def alice_study(data: Path, folder: Path) -> Study:
    """The study of that chapter."""
    source = data / "fmri_alice"
    words = source / "DownTheRabbitHole.TextGrid"
    np.save(folder / "word_rate.npy", word_rate(read_table(words).onset_s))
    scans = [p for p in sorted(source.glob("s*-timecourses.txt")) if not p.name.startswith(BROKEN)]
    if not scans:
        raise DataError(f"no scans in {source}; set GIBLET_TEST_DATA")
    lines = ["[study]", 'name = "alice"', f"tr_s = {ALICE_TR_S}", "[[stimulus]]", 'name = "chapter-1"']
    lines += [f"annotations = {quoted(words)}", "[stimulus.features]"]
    power = quoted(source / "s18-sndpwr.txt")  # everybody's is the same, to rounding
    lines += [f'sound_power = {{path = {power}, start_s = {ALICE_START_S}, hemodynamics = "applied"}}']
    lines += [f'word_rate = {{path = "word_rate.npy", start_s = {ALICE_START_S}}}']
    for path in scans:
        subject = path.name.split("-")[0]
        lines += ["[[scan]]", f'subject = "{subject}"', 'run = "run-1"', 'stimulus = "chapter-1"']
        lines += [f"bold = {quoted(path)}", f"offset_s = {ALICE_START_S}"]
    (folder / "study.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_study(folder)


def word_rate(onset_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """Words that begin in each TR of Alice, [T, 1] float32."""
    edges = ALICE_START_S + ALICE_TR_S * np.arange(ALICE_TRS + 1)
    return np.histogram(onset_s, edges)[0][:, None].astype(np.float32)


def partly_cloudy(data: Path, folder: Path) -> RealStudy:
    """8 people who watched a short film, of which 19 events are described; 293 parcels. 304 s are short: no bar."""
    source = data / "fmri_partly_cloudy"
    events, scans = [str(source / "events.tsv")], [str(source / "sub-*.npy")]
    study = study_from_flags(annotations=events, bold=scans, tr_s=Fraction("0.8"))
    return RealStudy(study, "text of events (MiniLM)", {"text": {"weights": "minilm"}}, folds=3, gap_s=20)


def quoted(path: Path) -> str:
    """A path as TOML takes it."""
    return json.dumps(str(path))


STUDIES: dict[str, Callable[[Path, Path], RealStudy]] = {
    "alice": alice,
    "alice-by-word": alice_by_word,
    "partly-cloudy": partly_cloudy,
}
