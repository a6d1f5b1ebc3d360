"""The rhythm of a sound: measured of each TR, and put on what is played of what was read from scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from giblet.errors import DataError
from giblet.media import rhythm
from giblet.types import Aligned, Features, Source, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.rhythm import LevelMeter, beating, frame_levels
from hypothesis import given
from hypothesis import strategies as st

RATE_HZ, TR_S = 24_000, 1.5
RATES_HZ = np.array([2.0, 4.0, 8.0, 4.0])
GRID = TRGrid(seconds("1.5"), 4)


def pulsing(depth_db: float = 6.0) -> np.ndarray:
    """Noise whose loudness swings by a sine of this SD in dB, at one rate a TR, [n]."""
    turns = np.cumsum(np.repeat(RATES_HZ, int(TR_S * RATE_HZ))) / RATE_HZ
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(turns))
    return (noise * 10 ** (depth_db * 2**0.5 * np.sin(2 * np.pi * turns) / 20)).astype(np.float32)


@pytest.fixture(scope="module")
def encodec(weights: str) -> AudioEncodec:
    return AudioEncodec(weights=weights, bandwidth_kbps=3.0)


@pytest.fixture(scope="module")
def aligned(encodec, tmp_path_factory) -> Aligned:
    path = tmp_path_factory.mktemp("pulsing") / "noise.wav"
    soundfile.write(path, pulsing(), RATE_HZ, subtype="FLOAT")
    return encodec.align(Features.concat(encodec.extract(Source(path))), GRID)


def played(encodec: AudioEncodec, features: Features, out: Path) -> np.ndarray:
    sound, _ = soundfile.read(encodec.reconstruct(features, out))
    return sound


def test_a_summary_tells_rate_and_depth_of_each_tr(encodec, aligned):
    rate, depth_db = encodec.summary(aligned)[:, -2:].T
    np.testing.assert_allclose(rate, np.log2(RATES_HZ), atol=0.25)
    np.testing.assert_allclose(depth_db, 6.0, atol=0.6)


def test_a_steady_sound_has_no_depth_and_silence_no_rhythm():
    rate, depth = rhythm(np.array([np.full(100, -20.0), np.zeros(100)]), 50.0)
    np.testing.assert_array_equal(depth, 0)
    assert rate[0] == rate[1] == pytest.approx(np.log2(0.7 * 20) / 2)


@pytest.mark.parametrize("hz", [1.0, 2.5, 5.5, 12.0])
def test_the_rate_of_a_sine_is_its_frequency_whatever_its_phase(hz):
    time_s, phase = np.arange(150) / 75, np.arange(5)[:, None]
    rate, depth = rhythm(3 * np.sin(2 * np.pi * hz * time_s + phase), 75.0)
    np.testing.assert_allclose(2**rate, hz, rtol=0.1)
    np.testing.assert_allclose(depth, 3 / 2**0.5, rtol=0.1)


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=9), st.integers(1, 3))
def test_loudness_does_not_depend_on_how_sound_is_cut(lengths, channels):
    sound = np.random.default_rng(0).standard_normal((sum(lengths), channels)).astype(np.float32)
    meter = LevelMeter(320)
    for chunk in np.split(sound, np.cumsum(lengths)[:-1]):
        assert meter.hear(chunk) is chunk
    want = frame_levels(sound, 320)
    assert meter.take(len(want)) == pytest.approx(want, abs=0.1001)
    assert len(want) == -(-len(sound) // 320)


def test_what_was_read_from_scans_is_played_in_its_rhythm(encodec, aligned, tmp_path):
    """A steady sound gets the rates that stand in the summary, at no sound of the original."""
    features = aligned.features
    steady = features.with_values(np.repeat(features.values[:1], len(features.values), 0))
    told = steady.with_values(steady.values, summary=encodec.summary(aligned))
    plain, pulsed = (played(encodec, f, tmp_path / n) for f, n in ((steady, "a"), (told, "b")))
    trs = [np.asarray(x, np.float32).reshape(len(RATES_HZ), -1) for x in (plain, pulsed)]
    levels = [np.array([frame_levels(tr[:, None], 320)[10:-10] for tr in sound]) for sound in trs]
    rate, depth_db = rhythm(levels[1] - levels[0], 75.0)
    np.testing.assert_allclose(rate[1:3], np.log2(RATES_HZ)[1:3], atol=0.3)
    np.testing.assert_allclose(depth_db, 6.0, atol=1.5)


def test_what_was_not_read_from_scans_stays_as_it_is(encodec, aligned, tmp_path):
    """Loudness that is kept beside the codes of the original is no part of its sound."""
    features = aligned.features
    bare = replace(features, attrs={k: v for k, v in features.attrs.items() if k != "level_db"})
    np.testing.assert_array_equal(*(played(encodec, f, tmp_path / "x") for f in (features, bare)))


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_a_rhythm_runs_on_over_pieces(lengths):
    n, summary = sum(lengths), np.array([[9.0, 1.0, 3.0], [9.0, 3.0, 6.0]], np.float32)
    sound = np.ones((n, 2), np.float32)
    (whole,) = beating([sound], summary, n, RATE_HZ)
    pieces = beating(np.split(sound, np.cumsum(lengths)[:-1]), summary, n, RATE_HZ)
    np.testing.assert_allclose(np.concatenate(list(pieces)), whole, rtol=1e-5)


def test_features_that_do_not_say_how_loud_they_are_have_no_summary(encodec, aligned):
    bare = Aligned(replace(aligned.features, attrs={}), GRID, aligned.first, aligned.count)
    with pytest.raises(DataError, match="extract them again"):
        encodec.summary(bare)
