"""What reconstructions are scored by, against independent formulas and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis import audio, text
from giblet.errors import DataError
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(0)
RATE_HZ = 16_000
SOUND = RNG.standard_normal(RATE_HZ) * np.repeat(RNG.random(20), RATE_HZ // 20)
EMBEDDINGS = RNG.standard_normal((20, 16)) + 3


def test_a_sound_is_like_itself_at_any_loudness():
    scores = audio.metrics(SOUND, 0.25 * SOUND, RATE_HZ)
    assert scores["envelope_r"] == pytest.approx(1)
    assert scores["spectrum_r"] > 0.999
    assert scores["si_sdr_db"] == pytest.approx(100)


@given(st.floats(0.01, 100), st.floats(-20, 40))
def test_si_sdr_is_the_decibels_of_orthogonal_noise(scale, db):
    t = np.arange(800) / 800
    signal, noise = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 11 * t)
    assert audio.si_sdr(signal, scale * (signal + 10 ** (-db / 20) * noise)) == pytest.approx(db, abs=1e-6)


def test_silence_scores_least():
    scores = audio.metrics(SOUND, np.zeros_like(SOUND), RATE_HZ)
    assert scores == {"si_sdr_db": -100, "envelope_r": 0, "spectrum_r": 0}


def test_the_envelope_survives_other_carriers_and_the_waveform_does_not():
    loudness = np.abs(SOUND)
    other = np.repeat(np.sqrt((SOUND.reshape(20, -1) ** 2).mean(1)), RATE_HZ // 20) * np.sin(np.arange(RATE_HZ))
    assert audio.envelope_correlation(SOUND, other, RATE_HZ) > 0.95
    assert audio.si_sdr(SOUND, other) < -10
    assert audio.envelope_correlation(loudness, np.roll(other, RATE_HZ // 3), RATE_HZ) < 0.5


def test_mel_correlation_is_a_mean_over_bands():
    a = RNG.standard_normal((50, 4))
    b = a * np.array([1, -1, 1, 0])
    assert audio.mel_correlation(a, b) == pytest.approx((1 - 1 + 1 + 0) / 4)


def test_sounds_of_other_lengths_are_refused():
    with pytest.raises(DataError, match="shapes"):
        audio.metrics(SOUND, SOUND[:-1], RATE_HZ)
    with pytest.raises(DataError, match="40 ms"):
        audio.envelope_correlation(SOUND[:100], SOUND[:100], RATE_HZ)


def test_a_text_finds_itself():
    scores = text.metrics(EMBEDDINGS, EMBEDDINGS)
    assert scores["cosine"] == pytest.approx(1)
    assert (scores["top1"], scores["top5"], scores["two_way"], scores["set_size"]) == (1, 1, 1, 20)


def test_the_mean_text_is_at_chance_though_its_raw_cosine_is_high():
    mean = np.broadcast_to(EMBEDDINGS.mean(0), EMBEDDINGS.shape)
    raw = (mean * EMBEDDINGS).sum(1) / np.linalg.norm(mean, axis=1) / np.linalg.norm(EMBEDDINGS, axis=1)
    scores = text.metrics(EMBEDDINGS, mean)
    assert raw.mean() > 0.8
    assert scores["cosine"] == pytest.approx(0, abs=1e-6)
    assert scores["top1"] == pytest.approx(scores["chance_top1"])
    assert scores["two_way"] == pytest.approx(0.5)


def test_identical_texts_are_one_candidate():
    which = np.arange(20) % 5
    scores = text.retrieval(EMBEDDINGS[which], EMBEDDINGS[which], [f"line {i}" for i in which])
    assert (scores["top1"], scores["set_size"], scores["chance_top1"], scores["chance_top5"]) == (1, 5, 0.2, 1)


def test_noise_retrieves_at_chance():
    scores = [text.retrieval(EMBEDDINGS, np.random.default_rng(i).standard_normal((20, 16)) + 3) for i in range(60)]
    assert np.mean([s["two_way"] for s in scores]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([s["top5"] for s in scores]) == pytest.approx(0.25, abs=0.04)


def test_texts_that_cannot_be_told_apart_are_refused():
    with pytest.raises(DataError, match="two distinct"):
        text.retrieval(EMBEDDINGS[:3], EMBEDDINGS[:3], ["a", "a", "a"])
    with pytest.raises(DataError, match="one text a row"):
        text.retrieval(EMBEDDINGS, EMBEDDINGS, ["a"])
