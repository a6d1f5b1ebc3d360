"""The 48 kHz stereo model: chunks of one second, each divided by its loudness, which is kept as one more book."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from giblet.testing import Case, checks_for, run_checks
from giblet.types import Features, Source, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.chunks import cut_chunks, overlap_add
from giblet_audio_encodec.codec import load_codec
from giblet_audio_encodec.loudness import LoudnessBook
from hypothesis import given, settings
from hypothesis import strategies as st

RATE_HZ, CHUNK, STRIDE = 48_000, 48_000, 47_520
GRID = TRGrid(seconds("1.5"), 4)
CHECKS = [c for c in checks_for(AudioEncodec()) if c.__name__ != "check_extract_in_a_worker"]  # tried on mono sound


@pytest.fixture(scope="module")
def encodec(stereo_weights: str) -> AudioEncodec:
    return AudioEncodec(weights=stereo_weights, bandwidth_kbps=3.0)


@pytest.fixture(scope="module")
def features(encodec, stereo_wav) -> Features:
    return Features.concat(encodec.extract(Source(stereo_wav)))


@pytest.fixture(scope="module")
def reference(encodec, stereo_wav) -> SimpleNamespace:
    """What the model's own `encode` and `decode` make of the whole file."""
    model = load_codec(encodec.weights).model
    sound, _ = soundfile.read(stereo_wav, dtype="float32")
    with torch.no_grad():
        out = model.encode(torch.from_numpy(sound.T.copy())[None], bandwidth=3.0)
        again = model.decode(out.audio_codes, out.audio_scales, last_frame_pad_length=out.last_frame_pad_length)
    codes = torch.cat(list(out.audio_codes[:, 0]), 1).T.numpy()
    n = len(codes) - out.last_frame_pad_length
    scales = torch.cat([s.flatten() for s in out.audio_scales]).numpy()
    return SimpleNamespace(codes=codes[:n], scales=scales, sound=again.audio_values[0].T.numpy()[: len(sound)])


@pytest.mark.parametrize("target", ["codes", "latents"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_conformance(check, target, stereo_weights, stereo_wav):
    encodec = AudioEncodec(weights=stereo_weights, bandwidth_kbps=3.0, target=target)
    (outcome,) = run_checks(Case(encodec, lambda: Source(stereo_wav), GRID), [check])
    assert outcome.failure is None


def test_codes_and_scales_are_those_of_the_model(features, reference):
    np.testing.assert_array_equal(features.values[:, 1:], reference.codes)
    level_db = features.values[::150, 0] * 0.1 - 102.4
    np.testing.assert_allclose(level_db, 20 * np.log10(reference.scales), atol=0.0501)
    assert np.ptp(reference.scales) > 0.05, "the chunks of this test are all alike"


def test_sound_is_that_of_the_model(encodec, features, reference, tmp_path):
    """To within 0.05 dB, the rounding of loudness, and 16 bits."""
    path = encodec.reconstruct(features, tmp_path / "again")
    made, rate_hz = soundfile.read(path)
    assert (rate_hz, made.shape) == (RATE_HZ, reference.sound.shape)
    np.testing.assert_allclose(made, reference.sound.clip(-1, 1), rtol=0.006, atol=1e-3)


def test_times_run_on_evenly(features):
    """150 frames share 0.99 s: in the overlap of chunks, time never goes back."""
    assert features.timebase == Fraction(1, 240_000)
    assert set(np.diff(features.ticks)) == {1584}
    assert 150 * 1584 * features.timebase == Fraction(99, 100)


@pytest.mark.parametrize("n", [1, 479, 481, 47_519, 47_520, 47_999, 48_001, 95_041, 100_000])
def test_exact_lengths_come_back(encodec, melody, tmp_path, n):
    path = tmp_path / "in.wav"
    soundfile.write(path, np.repeat(melody(5.0)[:n, None], 2, 1), RATE_HZ, subtype="FLOAT")
    features = Features.concat(encodec.extract(Source(path)))
    made = soundfile.info(encodec.reconstruct(features, tmp_path / "out"))
    assert (made.frames, made.channels) == (n, 2)


def test_a_cut_has_the_codes_of_the_whole_and_sounds_like_it(encodec, features, stereo_wav, tmp_path):
    cut = Features.concat(encodec.extract(Source(stereo_wav, start_s=seconds("1.5"), stop_s=seconds("4.5"))))
    first = int(np.flatnonzero(features.ticks == cut.ticks[0])[0])
    np.testing.assert_array_equal(cut.values, features.values[first : first + len(cut.values)])
    whole, _ = soundfile.read(encodec.reconstruct(features, tmp_path / "whole"))
    made, _ = soundfile.read(encodec.reconstruct(cut, tmp_path / "cut"))
    assert len(made) == 3 * RATE_HZ
    start = round(float(int(cut.ticks[0]) * cut.timebase) * RATE_HZ)
    inner = slice(RATE_HZ, 2 * RATE_HZ)  # away from the edges of the cut
    np.testing.assert_allclose(made[inner], whole[start:][inner], atol=2e-3)


def test_predictions_carry_their_own_loudness(encodec, features, tmp_path):
    """No loudness of the original leaks into what is made of other codes: it is one of the codes."""
    quiet = features.values.copy()
    quiet[:, 0] -= 200
    loud, _ = soundfile.read(encodec.reconstruct(features, tmp_path / "loud"))
    made, _ = soundfile.read(encodec.reconstruct(features.with_values(quiet), tmp_path / "quiet"))
    np.testing.assert_allclose(made, loud / 10, atol=1e-4)


def test_frames_whose_place_is_unknown_begin_a_chunk(encodec, features, tmp_path):
    """As when a scan is decoded of which there is no film."""
    bare = Features(features.values[150:], features.ticks[150:], features.timebase)
    told = Features(bare.values, bare.ticks, bare.timebase, attrs={"places": features.attrs["places"][150:]})
    one, other = (soundfile.read(encodec.reconstruct(f, tmp_path / n))[0] for f, n in ((bare, "a"), (told, "b")))
    np.testing.assert_array_equal(one, other)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(2, 60), st.integers(0, 20))
def test_chunks_laid_over_each_other_are_the_sound(lengths, stride, overlap):
    """Cutting and overlap-adding gives every sample back, whatever blocks it came in."""
    sound = np.random.default_rng(0).standard_normal((sum(lengths), 2)).astype(np.float32)
    blocks = np.split(sound, np.cumsum(lengths)[:-1])
    chunk = stride + min(overlap, stride)
    parts = list(cut_chunks(blocks, chunk, stride))
    assert [at for at, _ in parts] == list(range(0, len(sound), stride))
    again = np.concatenate(list(overlap_add(((at, 0, x) for at, x in parts), 0, chunk)))
    np.testing.assert_allclose(again, sound, atol=1e-5)


def test_overlapping_chunks_fade_as_in_the_models_own_decoding(stereo_weights):
    model = load_codec(stereo_weights).model
    frames = [torch.randn(1, 2, n, generator=torch.Generator().manual_seed(n)) for n in (CHUNK, CHUNK, 700)]
    want = model._linear_overlap_add(frames, STRIDE)[0].T.numpy()
    parts = ((i * STRIDE, 0, f[0].T.numpy()) for i, f in enumerate(frames))
    np.testing.assert_allclose(np.concatenate(list(overlap_add(parts, 0, CHUNK))), want, atol=1e-5)


@given(st.floats(-5.1, -0.1))
def test_loudness_is_kept_to_a_twentieth_of_a_decibel(level):
    book = LoudnessBook(1024)
    again = book.levels(book.codes(np.array([level], np.float32)))
    assert abs(float(again[0]) - level) * 20 < 0.051
