"""MFCC and power in 20 bands: librosa's values, left and right apart, and no way back to sound."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soundfile
from giblet.errors import ConfigError
from giblet.testing import modality_checks
from giblet.types import Features, Source
from giblet_audio_mel import AudioMel
from pydantic import ValidationError

RATE_HZ = 22_050
LEFT_HZ, RIGHT_HZ = 300.0, 3000.0


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """A low tone on the left, a high one on the right, and a hiss, [n, 2]."""
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    tones = 0.2 * np.sin(2 * np.pi * np.outer(t, [LEFT_HZ, RIGHT_HZ])) * (1 + np.sin(2 * np.pi * 3 * t))[:, None]
    sound = (tones + 1e-3 * np.random.default_rng(0).standard_normal((len(t), 2))).astype(np.float32)
    path = tmp_path_factory.mktemp("stereo") / "stereo.wav"
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    return path, sound


@modality_checks(AudioMel(features="bands"))
def test_conformance(check):
    check()


def db(sound, n_mels):
    power = librosa.feature.melspectrogram(y=sound, sr=RATE_HZ, n_fft=1024, hop_length=256, n_mels=n_mels, fmax=8000)
    return librosa.power_to_db(power, ref=1.0, top_db=None)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mfcc_are_librosas_of_each_channel(stereo, n_mels):
    path, sound = stereo
    features = Features.concat(AudioMel(features="mfcc", n_mels=n_mels).extract(Source(path)))
    want = [librosa.feature.mfcc(S=db(sound[:, c], n_mels), n_mfcc=40).T for c in (0, 1)]
    np.testing.assert_allclose(features.values, np.stack(want, 1), atol=5e-3)


def test_bands_are_librosas_of_each_channel_and_keep_left_and_right_apart(stereo):
    path, sound = stereo
    features = Features.concat(AudioMel(features="bands").extract(Source(path)))
    np.testing.assert_allclose(features.values, np.stack([db(sound[:, c], 20).T for c in (0, 1)], 1), atol=5e-3)
    loudest = features.values.mean(0).argmax(-1)
    centres_hz = librosa.mel_frequencies(22, fmax=8000)[1:-1]
    spacing_hz = centres_hz[1] - centres_hz[0]
    assert abs(centres_hz[loudest[0]] - LEFT_HZ) < spacing_hz
    assert abs(centres_hz[loudest[1]] - RIGHT_HZ) < 2.5 * spacing_hz


def test_one_channel_is_the_mean_of_both_and_a_mono_sound_is_in_both(stereo, tmp_path):
    path, sound = stereo
    one = Features.concat(AudioMel(features="bands", channels=1).extract(Source(path))).values
    np.testing.assert_allclose(one[:, 0], db(sound.mean(1), 20).T, atol=5e-3)
    soundfile.write(tmp_path / "mono.wav", sound[:, 0], RATE_HZ, subtype="FLOAT")
    both = Features.concat(AudioMel(features="bands").extract(Source(tmp_path / "mono.wav"))).values
    np.testing.assert_array_equal(both[:, 0], both[:, 1])


@pytest.mark.parametrize("kind", ["mfcc", "bands"])
def test_it_says_that_nothing_can_be_played_back(kind, stereo, tmp_path):
    modality = AudioMel(features=kind)
    assert not modality.can_reconstruct()
    assert "encoding only" in modality.how
    features = Features.concat(modality.extract(Source(stereo[0])))
    with pytest.raises(ConfigError, match=r"encoding only.*features=mel"):
        modality.reconstruct(features, tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": 2}, "channels: no effect on features=mel"),
        ({"features": "mfcc", "n_iter": 5}, "n_iter: no effect on features=mfcc"),
        ({"features": "bands", "n_mels": 128}, "n_mels: no effect on features=bands"),
        ({"features": "bands", "vocoder": "a/b"}, "vocoder: no effect on features=bands"),
        ({"vocoder": "a/b", "n_iter": 5}, "n_iter: no effect"),
    ],
)
def test_settings_without_effect_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        AudioMel(**settings)
