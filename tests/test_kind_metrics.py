"""What reconstructions are scored by, against independent formulas and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis import audio, text, video
from giblet.errors import DataError
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(0)
CLIP = RNG.integers(0, 256, (6, 24, 32, 3)).astype(np.uint8)
RATE_HZ = 16_000
SOUND = RNG.standard_normal(RATE_HZ) * np.repeat(RNG.random(20), RATE_HZ // 20)
EMBEDDINGS = RNG.standard_normal((20, 16)) + 3


def test_a_video_is_like_itself():
    assert video.metrics(CLIP, CLIP) == pytest.approx(
        {"frame_r": 1, "psnr_db": 100, "ssim": 1, "temporal_difference_r": 1}
    )


def test_an_unrelated_video_scores_nothing():
    other = np.random.default_rng(1).integers(0, 256, CLIP.shape).astype(np.uint8)
    scores = video.metrics(CLIP, other)
    assert abs(scores["frame_r"]) < 0.05
    assert scores["ssim"] < 0.1
    assert scores["psnr_db"] < 10


def test_psnr_is_its_definition():
    dark = np.zeros((2, 12, 12, 3), np.uint8)
    assert video.psnr(dark, dark + np.uint8(5)) == pytest.approx(20 * np.log10(255 / 5))


def test_ssim_is_wangs_sum_over_windows():
    x, y = (video.luma(f) for f in (CLIP[0], CLIP[1] // 2 + CLIP[0] // 2))
    g = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / np.outer(g, g).sum()
    values = []
    for i in range(24 - 10):
        for j in range(32 - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb, c = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
            k1, k2 = 2.55**2, 7.65**2
            values.append((2 * ma * mb + k1) * (2 * c + k2) / ((ma**2 + mb**2 + k1) * (va + vb + k2)))
    got = video.ssim(CLIP[:1], (CLIP[1] // 2 + CLIP[0] // 2)[None])
    assert got == pytest.approx(np.mean(values), abs=1e-9)


def test_temporal_difference_sees_when_not_what():
    brightness = np.array([10, 10, 200, 200, 40, 40], np.uint8)
    cuts = np.broadcast_to(brightness[:, None, None, None], (6, 24, 32, 3))
    assert video.temporal_difference_correlation(cuts, 255 - cuts) == pytest.approx(1)
    assert video.temporal_difference_correlation(cuts, np.roll(cuts, 1, axis=0)) < 0.2
    assert video.temporal_difference_correlation(cuts, np.zeros_like(cuts)) == 0


@pytest.mark.parametrize("other", [CLIP[:3], CLIP[..., :1], CLIP[:, :12]])
def test_videos_of_other_shapes_are_refused(other):
    with pytest.raises(DataError, match="shapes"):
        video.metrics(CLIP, other)


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
