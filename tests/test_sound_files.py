"""The film's own sound beside what was made of its features: the same moment to the sample, rate and channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from giblet.analysis import audio
from giblet.data.split import Block
from giblet.media import write_sound
from giblet.pipeline import sound_files
from giblet.pipeline.sound_files import beside_source
from giblet.types import Features, Source, TRGrid

HZ, HOP = 24_000, 320
TR_S = Fraction(3, 2)


@pytest.fixture
def film(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """20 s of noise in stereo at 48 kHz, smooth enough that halving the rate loses nothing."""
    steps = np.random.default_rng(0).standard_normal((20 * 6000, 2))
    slow = np.repeat(steps, 8, axis=0)
    kernel = np.hanning(65) / np.hanning(65).sum()
    sound = 0.2 * np.stack([np.convolve(slow[:, c], kernel, "same") for c in (0, 1)], 1)
    soundfile.write(tmp_path / "film.wav", sound.astype(np.float32), 2 * HZ, subtype="FLOAT")
    return tmp_path / "film.wav", sound


def inputs(film: Path, monkeypatch: pytest.MonkeyPatch, start_s: Fraction) -> SimpleNamespace:
    run = SimpleNamespace(name="run-1", sources={"audio": Source(film)})
    monkeypatch.setattr(sound_files, "presentations", lambda study, modalities: [run])
    timeline = SimpleNamespace(run="run-1", grid=TRGrid(TR_S, 10, start_s))
    return SimpleNamespace(timelines=[timeline], modalities={})


@pytest.mark.parametrize(("start_s", "channels"), [(Fraction(0), 1), (Fraction(1, 3), 2)])
def test_the_films_sound_begins_where_the_features_do(film, tmp_path, monkeypatch, start_s, channels):
    path, sound = film
    mono = sound[::2].mean(1) if channels == 1 else sound[::2]
    begin = round((start_s + 3 * TR_S) * HZ)
    late = -begin % HOP  # the first frame of the codec that lies in the block
    made = write_sound(tmp_path / "out/original.wav", mono[begin + late : begin + 4 * HZ], HZ)
    features = Features(np.zeros((5, 1)), late + HOP * np.arange(5, dtype=np.int64), Fraction(1, HZ))
    place = (0, Block("test", 3, 5))
    files = {"original": made, "measured": tmp_path / "out/measured.wav"}
    found = beside_source(None, inputs(path, monkeypatch, start_s), "audio", place, features, files)
    assert {v: p.name for v, p in found.items()} == {
        "original": "original.wav", "features": "features.wav", "measured": "measured.wav"
    }  # fmt: skip
    original, rate_hz = soundfile.read(found["original"], always_2d=True)
    assert rate_hz == HZ
    assert original.shape == (2 * TR_S * HZ - late, channels)
    again = soundfile.read(found["features"], always_2d=True)[0][: len(original)]
    assert audio.si_sdr(original[:, 0], again[:, 0]) > 40
    assert audio.snr(original[:, 0], again[:, 0]) > 40


def test_a_film_with_the_sound_of_a_telephone_keeps_its_rate(tmp_path, monkeypatch):
    noise = (0.1 * np.random.default_rng(0).standard_normal(80_000)).astype(np.float32)
    film = write_sound(tmp_path / "film.wav", noise, 8000)
    made = write_sound(tmp_path / "out/original.wav", noise, HZ)
    features = Features(np.zeros((5, 1)), np.arange(5, dtype=np.int64), Fraction(1, HZ))
    given = inputs(film, monkeypatch, Fraction(0))
    found = beside_source(None, given, "audio", (0, Block("test", 0, 2)), features, {"original": made})
    np.testing.assert_allclose(soundfile.read(found["original"])[0], noise[:24_000], atol=1e-4)
    assert soundfile.info(found["original"]).samplerate == 8000


def test_versions_are_scored_against_the_films_sound_and_the_control_is_moved(tmp_path):
    rate_hz, trs = 16_000, 5
    loud = np.repeat(np.random.default_rng(0).uniform(0.1, 1, 10 * trs), rate_hz // 10)
    original = (0.2 * loud * np.random.default_rng(1).standard_normal(len(loud))).astype(np.float32)
    sounds = {"original": original, "features": original, "measured": np.roll(original, 2 * rate_hz)}
    paths = {v: write_sound(tmp_path / f"{v}.wav", x, rate_hz) for v, x in sounds.items()}
    blank = Features(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), Fraction(1))
    found = audio.compare(dict.fromkeys(("original", "measured", "permuted"), blank), paths, np.full(trs, 40))
    assert set(found) == {"features", "measured", "permuted", "unscored", "scored_hz"}
    assert found["features"]["snr_db"] == pytest.approx(100)
    twice = np.roll(original, 4 * rate_hz)
    want = audio.envelope_correlation(original, twice, rate_hz)
    assert found["permuted"]["envelope_r"] == pytest.approx(want, abs=0.01)


def test_a_low_rate_file_is_scored_at_8_khz(tmp_path):
    x = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    paths = {v: write_sound(tmp_path / f"{v}.wav", x, hz) for v, hz in {"original": 16_000, "measured": 8000}.items()}
    found = audio.compare({}, paths, np.full(2, 40))
    assert found["scored_hz"] == 8000
    assert "pesq_nb" in found["measured"]
    assert "pesq_wb" not in found["measured"]
