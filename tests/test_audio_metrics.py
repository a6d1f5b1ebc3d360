"""Scores of reconstructed sound, against torchmetrics, librosa and known cases; what has no score has a reason."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from giblet.analysis import audio
from giblet.analysis.audio.quality import pieces_of
from giblet.errors import DataError
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(0)
HZ = 16_000
SOUND = 0.1 * RNG.standard_normal(HZ) * np.repeat(RNG.random(20), HZ // 20)


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Syllables of harmonics under formants with pauses between them, [n] at 16 kHz: PESQ finds utterances in it."""
    rng, parts = np.random.default_rng(seed), []
    while sum(map(len, parts)) < seconds * HZ:
        t = np.arange(int(rng.uniform(0.1, 0.3) * HZ)) / HZ
        pitch, formant = rng.uniform(100, 200), rng.choice([500, 1200, 2300])
        harmonic = np.arange(1, int(6000 / pitch)) * pitch
        gain = 1 / (1 + ((harmonic - formant) / 200) ** 2) + 0.02
        tone = (np.sin(2 * np.pi * np.outer(t, harmonic)) * gain).sum(1)
        parts += [0.3 * tone / np.abs(tone).max() * np.hanning(len(t)), np.zeros(int(rng.uniform(0, 0.1) * HZ))]
    return np.concatenate(parts)[: int(seconds * HZ)] + 1e-4 * rng.standard_normal(int(seconds * HZ))


SPEECH = speech(4.0)
TOO_SHORT = {"rhythm_r": "shorter than 10 s"}
NOISY = SPEECH + 0.01 * np.random.default_rng(1).standard_normal(len(SPEECH))


@pytest.fixture(scope="module")
def torchmetrics():
    """The functions of torchmetrics; what its import drags in warns of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional import audio as functions
    return functions


@pytest.mark.slow
def test_all_four_are_those_of_torchmetrics(torchmetrics):
    import torch

    x, y = (torch.from_numpy(v) for v in (SPEECH - SPEECH.mean(), NOISY - NOISY.mean()))
    known = {
        audio.snr(*map(np.asarray, (x, y))): torchmetrics.signal_noise_ratio(y, x),
        audio.si_sdr(*map(np.asarray, (x, y))): torchmetrics.scale_invariant_signal_distortion_ratio(y, x),
        audio.stoi(SPEECH, NOISY, HZ): torchmetrics.short_time_objective_intelligibility(
            torch.from_numpy(NOISY), torch.from_numpy(SPEECH), HZ
        ),
        audio.pesq_wb(SPEECH, NOISY, HZ): torchmetrics.perceptual_evaluation_speech_quality(
            torch.from_numpy(NOISY), torch.from_numpy(SPEECH), HZ, "wb"
        ),
    }
    assert list(known) == pytest.approx([float(v) for v in known.values()], abs=1e-4)
    low, noisy = SPEECH[::2], NOISY[::2]
    narrow = torchmetrics.perceptual_evaluation_speech_quality(
        torch.from_numpy(noisy.copy()), torch.from_numpy(low.copy()), 8000, "nb"
    )
    assert audio.pesq_nb(low, noisy, 8000) == pytest.approx(float(narrow), abs=1e-4)


def test_a_sound_is_like_itself_and_its_samples_like_themselves_at_any_loudness():
    scores, reasons = audio.score_sounds(SPEECH, SPEECH, HZ)
    assert reasons == TOO_SHORT
    expected = {"snr_db": 100, "si_sdr_db": 100, "mel_r": 1, "envelope_r": 1, "stoi": 1, "pesq_wb": 4.64}
    assert {k: scores[k] for k in expected} == pytest.approx(expected, abs=0.01)
    assert audio.si_sdr(SPEECH, 0.25 * SPEECH) == pytest.approx(100)
    assert audio.snr(SPEECH, 0.5 * SPEECH) == pytest.approx(20 * np.log10(2))
    assert audio.mel_correlation(SPEECH, 0.9 * SPEECH, HZ) > 0.99


@given(st.floats(0.01, 100), st.floats(-20, 40))
def test_si_sdr_is_the_decibels_of_orthogonal_noise(scale, db):
    t = np.arange(800) / 800
    signal, noise = np.sin(2 * np.pi * 5 * t), np.sin(2 * np.pi * 11 * t)
    assert audio.si_sdr(signal, scale * (signal + 10 ** (-db / 20) * noise)) == pytest.approx(db, abs=1e-6)
    assert audio.snr(signal, signal + 10 ** (-db / 20) * noise) == pytest.approx(db, abs=1e-6)


def test_the_envelope_survives_other_carriers_and_the_waveform_does_not():
    other = np.repeat(np.sqrt((SOUND.reshape(20, -1) ** 2).mean(1)), HZ // 20) * np.sin(np.arange(HZ))
    assert audio.envelope_correlation(SOUND, other, HZ) > 0.95
    assert audio.si_sdr(SOUND, other) < -10
    assert audio.envelope_correlation(np.abs(SOUND), np.roll(other, HZ // 3), HZ) < 0.5


def beats(hz: np.ndarray, phase: float = 0.0, seed: int = 0) -> np.ndarray:
    """Noise that beats at `hz` [n], each for 3 s."""
    turns = np.cumsum(np.repeat(hz, 3 * HZ)) / HZ + phase
    loud = 0.2 + 0.8 * np.sin(np.pi * turns) ** 2
    return 0.1 * loud * np.random.default_rng(seed).standard_normal(len(loud))


RATES = np.array([1.5, 6.0, 3.0, 9.0, 2.0, 4.5])


def test_a_rhythm_is_found_at_its_rate_whatever_its_phase():
    for hz in RATES:
        found = audio.rhythm_rates(beats(np.full(3, hz)), HZ)
        assert 2 ** np.median(found) == pytest.approx(hz, rel=0.12)
    late, other = beats(RATES, 0.5, 1), beats(RATES[::-1], 0.5, 1)
    assert audio.rhythm_correlation(beats(RATES), late, HZ) > 0.95
    assert audio.rhythm_correlation(beats(RATES), other, HZ) < 0.5
    assert audio.envelope_correlation(beats(RATES), late, HZ) < -0.3, "the phases are not opposite"
    assert audio.rhythm_correlation(beats(RATES), np.zeros(18 * HZ), HZ) == 0


def test_mel_bands_are_librosas_and_empty_ones_do_not_count():
    import librosa

    power = librosa.feature.melspectrogram(y=SPEECH.astype(np.float32), sr=HZ, n_fft=1024, hop_length=256, n_mels=80)
    want = librosa.power_to_db(power, ref=1.0, amin=1e-30, top_db=80).T
    np.testing.assert_allclose(audio.log_mel(SPEECH, HZ), want, atol=1e-3)
    t = np.arange(2 * HZ) / HZ
    pulsed = 0.3 * np.sin(2 * np.pi * 440 * t) * np.repeat([1.0, 0.1, 0.7, 0.4], HZ // 2)
    assert audio.mel_correlation(pulsed, pulsed, HZ) == pytest.approx(1)
    assert audio.mel_correlation(pulsed, np.zeros_like(pulsed), HZ) == 0


SILENT = np.zeros(len(SPEECH))
BROKEN = np.where(np.arange(len(SPEECH)) == 7, np.nan, SPEECH)
ALL = {"snr_db", "si_sdr_db", "mel_r", "envelope_r", "stoi", "pesq_wb"}


@pytest.mark.parametrize(
    ("original", "made", "missing", "why"),
    [
        (SILENT, SPEECH, ALL, "the original is silent"),
        (SILENT, SILENT, ALL, "the original is silent"),
        (1e-6 * SPEECH, SPEECH, ALL, "the original is silent"),
        (SPEECH, BROKEN, ALL, "not finite"),
        (BROKEN, SPEECH, ALL, "not finite"),
        (SPEECH[:3999], SILENT[:3999], {"stoi", "pesq_wb"}, "shorter than 0"),
        (SPEECH[:3999], NOISY[:3999], {"stoi", "pesq_wb"}, "shorter than 0"),
        (SPEECH[:6000], NOISY[:6000], {"stoi"}, "shorter than 0.5 s"),
        (SPEECH[:500], NOISY[:500], ALL - {"snr_db", "si_sdr_db"}, "shorter than"),
    ],
)
def test_what_cannot_be_computed_has_a_reason_and_no_number(original, made, missing, why):
    scores, reasons = audio.score_sounds(original, made, HZ)
    assert why in reasons.pop("rhythm_r") or len(original) < 10 * HZ
    assert {k for k in ALL if scores[k] is None} == missing == set(reasons)
    assert all(why in r and "1 of 1 pieces" in r for r in reasons.values())
    assert all(scores[k] is not None and np.isfinite(scores[k]) for k in ALL - missing)


@pytest.mark.parametrize("hush", [0.0, 1e-5])
def test_silence_scores_what_nothing_is_worth(hush):
    silence = hush * np.random.default_rng(3).standard_normal(len(SPEECH))
    scores, reasons = audio.score_sounds(SPEECH, silence, HZ)
    assert reasons == TOO_SHORT
    floors = {"snr_db": 0, "mel_r": 0, "envelope_r": 0, "si_sdr_db": -100, "stoi": 0, "pesq_wb": 0.999}
    if hush:  # correlations and power of so little are not exactly nothing
        floors = {k: floors[k] for k in ("si_sdr_db", "stoi", "pesq_wb")}
    assert {k: scores[k] for k in floors} == pytest.approx(floors, abs=1e-9)
    assert audio.pesq_nb(SPEECH[::2], silence[::2], 8000) == 0.999
    assert audio.score_sounds(SPEECH, 0.1 * RNG.standard_normal(len(SPEECH)), HZ)[0]["pesq_wb"] > 0.999


def test_a_silent_piece_of_the_reconstruction_counts_and_one_of_the_original_does_not():
    original, noisy = np.tile(SPEECH, 3), np.tile(NOISY, 3)
    half = np.where(np.arange(len(noisy)) < len(noisy) // 2, noisy, 0)
    whole, lost = (audio.score_sounds(original, made, HZ)[0] for made in (noisy, half))
    for name, floor in {"si_sdr_db": -100, "stoi": 0, "pesq_wb": 0.999}.items():
        heard = audio.score_sounds(*(x[: len(x) // 2] for x in (original, noisy)), HZ)[0][name]
        assert lost[name] == pytest.approx((heard + floor) / 2)
        assert lost[name] < whole[name]
    silenced = np.where(np.arange(len(original)) < len(original) // 2, original, 0)
    for made in (noisy, half):
        scores, reasons = audio.score_sounds(silenced, made, HZ)
        assert set(reasons) == ALL
        assert scores["rhythm_r"] is not None
        assert scores["stoi"] == pytest.approx(audio.stoi(*(x[: len(x) // 2] for x in (original, noisy)), HZ))


def test_a_click_in_long_silence_is_too_little_for_stoi():
    click = np.where(np.arange(HZ) == 8000, 0.5, 0.0)
    with pytest.raises(DataError, match="too little sound"):
        audio.stoi(click, click, HZ)


def test_without_its_package_pesq_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    scores, reasons = audio.score_sounds(SPEECH, NOISY, HZ)
    assert scores["pesq_wb"] is None
    assert scores["stoi"] > 0.5
    assert "pip install 'giblet[pesq]'" in reasons["pesq_wb"]


def test_a_long_sound_is_scored_in_pieces_of_one_length_with_their_spread():
    long = np.concatenate([SPEECH, SPEECH, SILENT, SPEECH, SPEECH, NOISY])
    made = long + np.repeat([0.001, 0.02], len(long) // 2) * np.random.default_rng(2).standard_normal(len(long))
    scores, reasons = audio.score_sounds(long, made, HZ)
    assert scores["n_pieces"] == 3
    halves = np.split(np.arange(len(long)), 3)
    each = [audio.snr(long[p], made[p]) for p in halves]
    assert scores["snr_db"] == pytest.approx(np.mean(each))
    assert scores["snr_db_sd"] == pytest.approx(np.std(each, ddof=1))
    assert not reasons
    silenced = np.where(np.arange(len(long)) < len(long) // 3, 0, long)
    scores, reasons = audio.score_sounds(silenced, made, HZ)
    assert scores["snr_db"] == pytest.approx(np.mean(each[1:]))
    assert reasons["snr_db"] == "the original is silent (1 of 3 pieces)"


@given(st.integers(0, 10**8), st.sampled_from([8000, 16_000]))
def test_pieces_cover_all_samples_once_and_none_is_longer_than_ten_seconds(n, rate_hz):
    pieces = pieces_of(n, rate_hz)
    assert [p.start for p in pieces] == [0, *(p.stop for p in pieces[:-1])]
    assert pieces[-1].stop == n
    lengths = [p.stop - p.start for p in pieces]
    assert max(lengths) <= 10 * rate_hz
    assert max(lengths) - min(lengths) <= 1


def test_low_rates_have_narrow_pesq_and_others_are_refused():
    scores, _ = audio.score_sounds(SPEECH[::2], NOISY[::2], 8000)
    assert scores["pesq_nb"] > 1
    assert "pesq_wb" not in scores
    with pytest.raises(DataError, match="at 16000 or 8000 Hz, not 44100"):
        audio.score_sounds(SPEECH, NOISY, 44_100)
    with pytest.raises(DataError, match="shapes"):
        audio.score_sounds(SPEECH, NOISY[:-1], HZ)


@pytest.mark.real_data
def test_real_speech_in_noise_scores_as_the_packages_say(test_data):
    import pesq
    import pystoi
    from giblet.media import read_sound
    from giblet.types import Features

    x = Features.concat(read_sound(test_data / "speech/jfk.flac", HZ)).values[: 10 * HZ, 0].astype(np.float64)
    y = x + 0.01 * np.random.default_rng(0).standard_normal(len(x))
    scores, _ = audio.score_sounds(x, y, HZ)
    assert scores["pesq_wb"] == pytest.approx(pesq.pesq(HZ, x, y, "wb"))
    assert scores["stoi"] == pytest.approx(pystoi.stoi(x, y, HZ))
    assert 20 < scores["snr_db"] < 25
