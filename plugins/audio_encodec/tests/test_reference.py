"""Beside others: the reference package on the same weights, and the published quality of the pretrained codec."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from giblet.media import read_sound
from giblet.types import Features, Source
from giblet_audio_encodec import AudioEncodec

PRETRAINED = "facebook/encodec_24khz"
PUBLISHED = {"pesq": 2.635, "stoi": 0.910}
"""At 6 kbps on speech, wide band (Codec-SUPERB-tiny); clips differ, hence the margins."""
MARGIN = {"pesq": 0.15, "stoi": 0.02}


def at_hand() -> bool:
    """Whether the pretrained codec is in the hub's cache; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(PRETRAINED, "model.safetensors"), str)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("encodec") is None, reason="the reference package is not installed")
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_codes_are_those_of_the_reference_package():
    """Every code of one call at every bandwidth of both models; benchmarks/encodec_reference.py prints the table."""
    path = Path(__file__).parents[3] / "benchmarks" / "encodec_reference.py"
    spec = importlib.util.spec_from_file_location("encodec_reference", path)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    rows = reference.rows_of(3.3)
    assert len(rows) == 9
    assert not [r for r in rows if r["missed"]]


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.real_data
@pytest.mark.skipif(not at_hand(), reason=f"{PRETRAINED} is not in the hub's cache")
def test_the_pretrained_codec_is_as_good_as_published(test_data: Path, tmp_path):
    pesq, pystoi = pytest.importorskip("pesq"), pytest.importorskip("pystoi")
    encodec, scores = AudioEncodec(weights=PRETRAINED), {"pesq": [], "stoi": []}
    clips = sorted(p for p in (test_data / "speech").iterdir() if p.suffix in {".flac", ".ogg", ".wav"})
    for clip in clips:
        made = encodec.reconstruct(Features.concat(encodec.extract(Source(clip))), tmp_path / clip.stem)
        sounds = [np.concatenate([c.values[:, 0] for c in read_sound(p, 16_000)]) for p in (clip, made)]
        n = min(map(len, sounds))
        scores["pesq"].append(pesq.pesq(16_000, *(s[:n] for s in sounds), "wb"))
        scores["stoi"].append(pystoi.stoi(*(s[:n] for s in sounds), 16_000))
    for name, found in scores.items():
        assert abs(np.mean(found) - PUBLISHED[name]) < MARGIN[name]
