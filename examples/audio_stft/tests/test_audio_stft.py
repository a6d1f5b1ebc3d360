"""The transform against librosa's, the way back against the sound itself, and nets that learn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch
from giblet import DataError, Features, FeatureSpec, Source, TRGrid, seconds
from giblet.media import read_sound
from giblet.testing import modality_checks
from giblet_audio_stft import AudioStft
from giblet_audio_stft.transform import Stft, inverse, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

SMALL = Stft(64, 16)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)


def whole(sound: np.ndarray, stft: Stft) -> np.ndarray:
    return np.concatenate([values for values, _ in stream([sound], stft)])


def snr_db(sound: np.ndarray, again: np.ndarray) -> float:
    error = sound.astype(np.float64) - again
    return float(10 * np.log10(np.square(sound, dtype=np.float64).sum() / np.square(error).sum()))


@modality_checks(AudioStft())
def test_conformance(check):
    check()


@pytest.mark.parametrize("n", [512, 1000, 16_000])
def test_values_are_librosas(n):
    import librosa

    stft, sound = Stft(512, 128), noise(n)
    want = librosa.stft(sound, n_fft=512, hop_length=128).T * 2 / 256
    np.testing.assert_allclose(whole(sound, stft), want, atol=1e-6)


def test_a_sine_has_its_amplitude():
    t = np.arange(16_000) / 16_000
    spectrum = whole((0.25 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32), Stft(512, 128))
    np.testing.assert_allclose(np.abs(spectrum[10:-10, 32]), 0.25, rtol=1e-4)  # 1000 Hz of 31.25 Hz a bin


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.integers(0, 5))
def test_pieces_equal_the_whole_and_come_back(lengths, seed):
    sound = noise(sum(lengths), seed)
    made = list(stream(np.split(sound, np.cumsum(lengths)[:-1]), SMALL))
    values = np.concatenate([v for v, _ in made])
    np.testing.assert_allclose(values, whole(sound, SMALL), atol=1e-7)
    assert len(values) == 1 + len(sound) // SMALL.hop
    assert made[-1][1] == len(sound)
    np.testing.assert_allclose(inverse(values, SMALL, len(sound)), sound, atol=5e-7)


@pytest.mark.parametrize("n", [1, 127, 16_000, 16_001])
def test_the_wav_is_the_sound_to_the_sample(tmp_path, n):
    path, sound = tmp_path / "sound.wav", noise(n)
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    stft = AudioStft()
    again, rate_hz = soundfile.read(stft.reconstruct(Features.concat(stft.extract(Source(path))), tmp_path / "again"))
    assert (len(again), rate_hz) == (n, 16_000)
    np.testing.assert_allclose(again, sound, atol=5e-7)


def test_windows_are_put_where_their_times_say(tmp_path):
    path, sound = tmp_path / "sound.wav", noise(16_000)
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    features = Features.concat(AudioStft().extract(Source(path)))
    kept = np.r_[20:40, 60:80]
    part = Features(features.values[kept], features.ticks[kept], features.timebase, attrs=features.attrs)
    again, _ = soundfile.read(AudioStft().reconstruct(part, tmp_path / "part"))
    assert len(again) == 60 * 128
    np.testing.assert_allclose(again[4 * 128 : 16 * 128], sound[24 * 128 : 36 * 128], atol=5e-7)
    assert np.abs(again[24 * 128 : 36 * 128]).max() == 0


def test_features_without_a_sample_are_no_sound(tmp_path):
    nothing = Features(np.zeros((0, 257, 2), np.float32), np.zeros(0, np.int64), Fraction(1, 16_000))
    with pytest.raises(DataError, match="no window"):
        AudioStft().reconstruct(nothing, tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"hop": 100}, {"n_fft": 256}, {"n_fft": 513}, {"compression": 0}])
def test_settings_that_lose_sound_are_refused(wrong):
    with pytest.raises(ValidationError):
        AudioStft(**wrong)


def test_a_file_without_sound_is_refused(tmp_path):
    path = tmp_path / "not.wav"
    path.write_text("no sound")
    with pytest.raises(DataError):
        list(AudioStft().extract(Source(path)))


def test_the_loss_of_known_spectra():
    stft = AudioStft(compression=0.5, complex_share=0.3)
    one, turned = torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 4.0]]]])
    want = 0.7 * (1 - 2) ** 2 + 0.3 * (1**2 + 2**2)  # magnitudes 1 and 2; at right angles
    np.testing.assert_allclose(stft.loss(one, turned).numpy(), [[want]], rtol=1e-5)
    assert stft.loss(turned, turned).item() == 0


def test_unknown_phases_make_the_best_sound_three_decibels_too_quiet():
    stft, angle = AudioStft(), 2 * np.pi * torch.arange(8) / 8
    truth = torch.stack([angle.cos(), angle.sin()], dim=-1)[:, None, None]  # any phase is as likely
    level_db = torch.arange(-6, 1, 0.05)
    said = [torch.tensor([10 ** (x / 20), 0.0]).expand_as(truth) for x in level_db.tolist()]
    best = level_db[torch.stack([stft.loss(x, truth).mean() for x in said]).argmin()]
    assert abs(best + 3.05) < 0.06


def test_summary_knows_the_band():
    t = np.arange(3 * 16_000) / 16_000
    values = whole(np.sin(2 * np.pi * 3900 * t).astype(np.float32), Stft(512, 128)).view(np.float32)
    features = Features.regular(values.reshape(len(values), 257, 2), 125)
    summary = AudioStft().summary(AudioStft().align(features, TRGrid(seconds("1.5"), 2)))
    assert summary.shape == (2, 32)
    assert summary[:, :16].argmax(1).tolist() == [7, 7]  # the eighth of 16 bands of 500 Hz


def test_the_nets_do_not_care_where_a_phase_begins():
    spec = FeatureSpec((257, 2), 20)
    encoder = AudioStft().encode(spec, 32)
    z = torch.from_numpy(whole(noise(2560), Stft(512, 128))[None, :20])
    turned = z * torch.polar(torch.tensor(1.0), torch.tensor(1.3))
    codes = [encoder(torch.view_as_real(x), torch.ones(1, 20, dtype=torch.bool)) for x in (z, turned)]
    torch.testing.assert_close(*codes, atol=1e-3, rtol=1e-3)


def syllables(n: int, seed: int) -> torch.Tensor:
    """Half seconds of harmonics at changing pitch and loudness, [n, 62, 257, 2]."""
    rng, sound = np.random.default_rng(seed), []
    while sum(map(len, sound)) < n * 8000:
        t = np.arange(int(rng.uniform(0.1, 0.4) * 16_000)) / 16_000
        pitch = rng.choice([110, 165, 220])
        harmonics = np.arange(1, int(7000 / pitch)) * pitch
        gain = 1 / (1 + ((harmonics - rng.choice([400, 1200, 2500])) / 300) ** 2) + 0.01
        tone = (np.sin(2 * np.pi * np.outer(t, harmonics) + harmonics) * gain).sum(1)
        sound.append(rng.choice([0.02, 0.1, 0.3]) * tone / np.abs(tone).max() * np.hanning(len(t)))
    spectra = whole(np.concatenate(sound)[: n * 8000].astype(np.float32), Stft(512, 128))
    return torch.view_as_real(torch.from_numpy(spectra[: n * 62].reshape(n, 62, 257)))


def test_a_bin_that_says_nothing_can_learn_to_speak():
    stft = AudioStft(complex_share=0)
    decoder = stft.decode(FeatureSpec((257, 2), 4), 8)
    weight, bias = decoder.net.out.weight, decoder.net.out.bias
    torch.nn.init.zeros_(weight)
    torch.nn.init.constant_(bias, -8)  # every bin is below what is told from zero
    said = decoder(torch.ones(2, 8))
    stft.loss(said, torch.ones_like(said)).mean().backward()
    assert bias.grad.unflatten(0, (257, 2))[:, 0].max() < -1e-8  # louder is better


@pytest.mark.slow
def test_training_beats_the_training_mean():
    torch.manual_seed(0)
    stft, spec = AudioStft(), FeatureSpec((257, 2), 62)
    train, test = syllables(96, 0), syllables(24, 1)
    encoder, decoder = stft.encode(spec, 64), stft.decode(spec, 64)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], 1e-3)

    def loss(x):
        return stft.loss(decoder(encoder(x, torch.ones(x.shape[:2], dtype=torch.bool))), x).mean()

    for _ in range(25):
        optimiser.zero_grad()
        loss(train[torch.randint(len(train), (16,))]).backward()
        optimiser.step()
    with torch.no_grad():
        constant = stft.loss(train.mean((0, 1)).expand_as(test), test).mean()
        assert loss(test) < 0.8 * constant


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "rate_hz"), [("jfk.flac", 44_100), ("librispeech_198-209-0000.ogg", 16_000)])
def test_real_speech_comes_back_to_the_sample(test_data, tmp_path, file, rate_hz):
    stft, source = AudioStft(rate_hz=rate_hz), Source(test_data / "speech" / file)
    path = stft.reconstruct(Features.concat(stft.extract(source)), tmp_path / "again")
    sound = Features.concat(read_sound(source.path, rate_hz)).values[:, 0]
    again, _ = soundfile.read(path, dtype="float32")
    assert len(again) == len(sound)
    assert snr_db(sound, again) > 140
