"""A HiFi-GAN of transformers makes the sound: its mel bands, its length, its pieces, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from giblet.errors import WeightsError
from giblet.media import read_sound
from giblet.types import Features, Source
from giblet_audio_mel import AudioMel, vocoder
from giblet_audio_mel.features import mel_stream
from giblet_audio_mel.vocoder import frames_of, load_vocoder, log_amplitude, voiced

RATE_HZ = 22_050


def untrained(folder, name, **sizes):
    """A vocoder of few random weights, as `save_pretrained` leaves it."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(upsample_initial_channel=32, **sizes)
    model = getattr(transformers, name)(config)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(10)  # as they begin, they are so small that nothing is heard
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("vocoder"), "SpeechT5HifiGan")


def voices(seconds: float) -> np.ndarray:
    """Harmonics that glide and pulse above a hiss, [n] at 22,050 Hz."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (120 * t + 20 * np.sin(2 * np.pi * 0.7 * t))
    tone = sum(np.sin(k * phase) / k for k in range(1, 40)) * (1.1 + np.sin(2 * np.pi * 3 * t))
    return (0.05 * tone + 0.003 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


def bands(sound, mel):
    return np.concatenate([v for v, _ in mel_stream([sound], mel)])


@pytest.mark.real_data
@pytest.mark.parametrize("n_mels", [80, 128])
def test_its_bands_are_those_that_transformers_takes_from_the_sound(test_data, folder, n_mels):
    from transformers import SpeechT5FeatureExtractor

    at = {hz: Features.concat(read_sound(test_data / "speech/jfk.flac", hz)).values[:, 0] for hz in (RATE_HZ, 16_000)}
    mel, model = AudioMel(n_mels=n_mels).mel, load_vocoder(str(folder))
    db = bands(at[RATE_HZ], mel)
    got = log_amplitude(db, mel, model, range(frames_of(db, mel, model.mel)))
    want = SpeechT5FeatureExtractor()._extract_mel_features(at[16_000])
    assert got.shape == want.shape
    error_db = 20 * (got - want)
    assert abs(error_db.mean()) < 0.5
    assert np.abs(error_db).mean() < (2.2 if n_mels == 80 else 1.5)
    assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.97


def test_the_sound_is_as_long_as_it_was_at_the_vocoders_rate(folder, tmp_path):
    wav = tmp_path / "in.wav"
    soundfile.write(wav, voices(3.3), RATE_HZ, subtype="FLOAT")
    mel = AudioMel(vocoder=str(folder))
    features = Features.concat(mel.extract(Source(wav)))
    made = soundfile.info(mel.reconstruct(features, tmp_path / "out"))
    assert (made.samplerate, made.frames) == (16_000, round(3.3 * 16_000))
    assert str(folder) in mel.how
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() > 1e-3


def test_pieces_equal_the_whole(folder, monkeypatch):
    mel, model = AudioMel().mel, load_vocoder(str(folder))
    db = bands(voices(4.0), mel)
    whole = voiced(db, mel, model, 4.0)
    monkeypatch.setattr(vocoder, "PIECE", 60)
    np.testing.assert_allclose(voiced(db, mel, model, 4.0), whole, atol=1e-4)
    assert len(whole) == 4 * 16_000
    assert whole.std() > 1e-3


def test_rate_and_hop_are_read_off_the_model_and_limits_off_its_preprocessor(tmp_path):
    other = untrained(tmp_path / "other", "FastSpeech2ConformerHifiGan")
    assert load_vocoder(str(other)).mel == (22_050, 1024, 256, 80, 80.0, 7600.0)
    (other / "preprocessor_config.json").write_text(json.dumps({"fmin": 0, "fmax": 8000, "mel_floor": 1e-5}))
    load_vocoder.cache_clear()
    model = load_vocoder(str(other))
    assert (model.mel.fmin_hz, model.mel.fmax_hz, model.floor) == (0, 8000, 1e-5)


def test_what_cannot_be_had_is_known_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for weights, said in [
        (str(tmp_path / "nowhere"), "there is no folder"),
        (str(tmp_path), "lacks config.json or weights"),
        ("someone/not-in-the-cache", "HF_HUB_OFFLINE is set"),
    ]:
        with pytest.raises(WeightsError, match=f"{said}.*Griffin-Lim"):
            AudioMel(vocoder=weights).fit([], [])


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", [b"{", b"[1, 2]", b"\xff\xfe", b""])
def test_a_broken_file_beside_the_weights_is_one_line(tmp_path, folder, name, content):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"audio\.vocoder=.*{name}.*Griffin-Lim") as caught:
        AudioMel(vocoder=str(broken)).fit([], [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["low", None, [80]])
def test_bands_that_are_no_numbers_are_refused(tmp_path, folder, value):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "preprocessor_config.json").write_text(json.dumps({"fmin": value}))
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json.*fmin"):
        load_vocoder(str(broken))


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="'bert', not one of speecht5_hifigan"):
        AudioMel(vocoder=str(tmp_path)).fit([], [])
    (tmp_path / "config.json").write_text('{"model_type": ["bert"]}')
    with pytest.raises(WeightsError, match="not one of speecht5_hifigan"):
        AudioMel(vocoder=str(tmp_path)).fit([], [])
    (tmp_path / "config.json").write_text('{"model_type": "speecht5_hifigan"}')
    with pytest.raises(WeightsError, match="does not open"):
        load_vocoder(str(tmp_path))
