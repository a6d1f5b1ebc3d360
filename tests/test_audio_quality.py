"""The benchmark of codecs and spectrograms: its arithmetic, its bars, and mel rows on real sound."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from giblet.plugins import Registry
from giblet.types import Features


@pytest.fixture
def quality(monkeypatch):
    """The benchmark as a module, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import audio_quality

    yield audio_quality
    sys.modules.pop("audio_quality")


def test_averaging_keeps_a_mean_a_tr_and_nothing_else(quality):
    values = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    averaged = quality.averaged(Features.regular(values, 10)).values
    assert averaged.shape == values.shape
    for part in (slice(0, 15), slice(15, 30), slice(30, 40)):
        np.testing.assert_allclose(averaged[part], np.tile(values[part].mean(0), (len(averaged[part]), 1)), atol=1e-6)


def found(quality, stoi=0.8, least=0.6, si_sdr_db=1.0, untrained=0.2, averaged=0.25):
    def row(name, mean, low=0.0, db=-30.0):
        speech = {"stoi": {"mean": mean, "sd": 0.1, "least": low}, "si_sdr_db": {"mean": db, "sd": 1, "least": db}}
        return {"name": name, "group": "", "speech": speech}

    return [
        row(quality.JUDGED, stoi, least, si_sdr_db), row(quality.UNTRAINED, untrained), row(quality.AVERAGED, averaged)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"stoi": 0.69}, "mean STOI 0.690 is below 0.7"),
        ({"least": 0.54}, "least STOI 0.540 is below 0.55"),
        ({"si_sdr_db": -0.1}, "SI-SDR -0.10 dB is not above 0 dB"),
        ({"untrained": 0.7}, "only 0.100 above untrained"),
        ({"averaged": 0.65}, "only 0.150 above mel 80"),
    ],
)
def test_a_missed_bar_is_named_and_exits_with_one(quality, changed, said, capsys):
    assert quality.verdict(found(quality, **changed)) == int(bool(said))
    assert said in capsys.readouterr().err


def test_a_missing_row_exits_with_two(quality):
    rows = found(quality)
    rows[0] |= {"absent": "no weights"}
    assert quality.verdict(rows) == 2
    assert quality.verdict(rows[1:]) == 2


def test_every_setting_has_a_row(quality):
    names = [row.name for row in quality.rows()]
    assert len(names) == len(set(names)) == 16
    assert {quality.JUDGED, quality.UNTRAINED, quality.AVERAGED} <= set(names)


def test_without_data_it_says_so_in_one_line_and_exits_with_two(quality, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["audio_quality.py"])
    monkeypatch.setenv("GIBLET_TEST_DATA", str(tmp_path))
    assert quality.main() == 2
    streams = capsys.readouterr()
    assert f"{tmp_path} lacks speech/jfk.flac" in streams.err
    assert (len(streams.err.splitlines()), streams.out) == (1, "")


@pytest.mark.real_data
def test_frames_are_intelligible_and_their_mean_is_not(quality, test_data, tmp_path):
    mel = Registry.discover().modality("audio_mel", n_iter=8)
    clip = test_data / "speech/librispeech_61-70968-0000.flac"
    frames, means = (quality.score(mel, change, clip, tmp_path) for change in (None, quality.averaged))
    assert frames["stoi"] > 0.85
    assert means["stoi"] < 0.5
