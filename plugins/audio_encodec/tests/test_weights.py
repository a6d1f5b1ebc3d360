"""Where weights come from, and the three ways out where they cannot be had."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from giblet.errors import ConfigError, WeightsError
from giblet.types import Source
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import load_codec
from giblet_audio_encodec.weights import find_weights

WAYS_OUT = "hf download.*DIR.*-o audio.weights=bundled.*--audio mel"


@pytest.mark.parametrize("name", ["/no/such/folder", "./weights", "nonsense"])
def test_a_missing_folder_names_the_ways_out(name):
    with pytest.raises(WeightsError, match=WAYS_OUT) as error:
        load_codec(name)
    assert "\n" not in str(error.value)


def test_folders_that_hold_no_codec_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"lacks config\.json"):
        load_codec(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match=WAYS_OUT) as error:
        load_codec(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_codec_that_was_never_trained_is_refused(tmp_path):
    from transformers import EncodecConfig, EncodecModel

    EncodecModel(EncodecConfig(num_filters=2, hidden_size=8, target_bandwidths=[1.5])).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="no trained EnCodec"):
        load_codec(str(tmp_path))


def test_offline_fails_at_once(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: pytest.fail("the hub was contacted"))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        load_codec("giblet-tests/no-such-codec")


def test_an_unreachable_hub_fails_within_seconds(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=WAYS_OUT):
        load_codec("giblet-tests/no-such-codec")
    assert time.monotonic() - start < 10


def test_a_local_folder_never_asks_the_hub(weights, monkeypatch):
    import socket

    load_codec.cache_clear()
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a network was contacted"))
    assert load_codec(weights).num_classes == 1024


def test_a_bandwidth_that_the_codec_has_not_names_those_it_has(weights, wav):
    with pytest.raises(ConfigError, match=r"1\.5, 3\.0, 6\.0"):
        list(AudioEncodec(weights=weights, bandwidth_kbps=5.0).extract(Source(wav)))


def test_the_codec_is_loaded_once(weights):
    assert load_codec(weights) is load_codec(weights)


def test_the_bundled_codec_is_in_the_package_and_never_asks_the_hub(monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: pytest.fail("the hub was contacted"))
    folder = find_weights("bundled")
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert sum(p.stat().st_size for p in folder.iterdir()) < 8e6
    codec = load_codec("bundled")
    assert (codec.rate_hz, codec.hop, codec.channels, codec.num_classes) == (24_000, 320, 1, 1024)
    assert [codec.books(kbps) for kbps in (1.5, 3.0, 6.0)] == [2, 4, 8]
    assert {p.dtype for p in codec.model.parameters()} == {torch.float32}


def test_on_a_mac_the_codec_stays_on_the_cpu(weights, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    load_codec.cache_clear()
    codec = load_codec(weights)
    assert codec.device == "cpu"
    assert {p.device.type for p in codec.model.parameters()} == {"cpu"}


def test_other_weights_under_the_same_name_are_noticed(weights, stereo_weights, tmp_path):
    """Their fingerprint enters the key of stored features, and a fitted modality refuses them."""
    folder = tmp_path / "codec"
    shutil.copytree(weights, folder)
    fitted = AudioEncodec(weights=str(folder)).fit([], [])
    same = AudioEncodec(weights=weights).fit([], [])
    assert fitted.state["weights"].tobytes() == same.state["weights"].tobytes()
    shutil.copytree(stereo_weights, folder, dirs_exist_ok=True)
    load_codec.cache_clear()
    assert fitted != AudioEncodec(weights=str(folder)).fit([], [])
    with pytest.raises(WeightsError, match="not the codec that this was trained with"):
        next(fitted.extract(Source(Path("any.wav"))))


def test_the_demo_study_takes_the_codec_that_comes_along():
    from giblet.api.request import demo_settings

    assert demo_settings({"audio": "encodec"}, {})["audio.weights"] == "bundled"
    assert demo_settings({"audio": "encodec"}, {"audio.weights": "mine"})["audio.weights"] == "mine"
    assert "audio.weights" not in demo_settings({"audio": "mel"}, {})


def test_a_codec_that_needs_all_of_a_sound_is_refused(stereo_weights, tmp_path):
    shutil.copytree(stereo_weights, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"chunk_length_s": None}))
    with pytest.raises(ConfigError, match="all of a sound at once"):
        load_codec(str(tmp_path))
