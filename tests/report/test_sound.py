"""The section about sound: players of all versions, scores with their spread, what has none and why, and words."""

from __future__ import annotations

import json
import re
from pathlib import Path

from giblet.report.run_folder import RunFolder
from giblet.report.sections import audio
from page_run import fabricate


def section(folder: Path) -> str:
    shown = audio.render(RunFolder.read(folder))
    assert shown is not None
    return shown.body


def rows_of(body: str) -> dict[str, list[str]]:
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', body)
    return {name: re.findall(r"<td[^>]*>(.*?)</td>", cells) for name, cells in rows}


def test_the_films_own_sound_comes_first_then_what_its_features_alone_give(written: Path) -> None:
    names = re.findall(r"<figcaption><b>(.*?)</b>", section(written))
    assert names[:4] == ["original", "features alone", "round trip", "from the predicted scan"]


def test_scores_have_their_spread_and_what_has_none_says_why(written: Path) -> None:
    body = section(written)
    rows = rows_of(body)
    assert rows["SI-SDR (dB)"] == ["0.321 (0.321)"] * 6
    assert rows["STOI (speech)"].count("n/a") == 1
    assert "Not scored, training mean: " in body
    assert "shorter than 0.25 s (6 of 6 pieces)" in body
    assert "60 s of a test block, from 330 s of run-2 on, in 6 pieces, mono at 16 kHz" in body
    assert "of music and noises they say nothing" in body
    assert "Made by audio_mel, Griffin-Lim." in body


def test_words_stand_beside_their_error_rate(written: Path) -> None:
    rows = rows_of(section(written))
    assert rows["from the measured scan"] == ["0.500", "ask"]
    assert rows["training mean"] == ["n/a: no word in the original", "no words"]
    assert "Words that some/recogniser hears" in section(written)


def test_a_run_of_an_older_giblet_is_still_shown(media: Path, tmp_path: Path) -> None:
    folder = fabricate(tmp_path / "run", media)
    (folder / "reconstructions/audio/features.wav").unlink()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["audio"] = {"measured": {"si_sdr_db": -3.0, "spectrum_r": 0.2}, "how": "Griffin-Lim"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert rows_of(section(folder))["SI-SDR (dB)"] == ["\N{MINUS SIGN}3.00"]


def test_without_sounds_that_play_there_are_no_players(numbers_only: Path) -> None:
    body = section(numbers_only)
    assert "<audio" not in body
    assert "giblet listen" not in body
