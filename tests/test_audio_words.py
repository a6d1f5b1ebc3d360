"""Words that a recogniser hears: errors against known cases, and a recogniser of transformers from a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from giblet.analysis import audio
from giblet.api.studies import study_from_files
from giblet.config import EvaluateConfig, RunConfig, build_config
from giblet.errors import ConfigError, WeightsError
from giblet.media import write_sound
from giblet.pipeline.prepare import check_plan
from giblet.pipeline.sound_files import hear_words
from giblet.plugins import Registry
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.lists(st.sampled_from(["ask", "not", "what", "your"]), max_size=6)


def slow_errors(a: list[str], b: list[str]) -> int:
    """The definition, by recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(slow_errors(a[1:], b) + 1, slow_errors(a, b[1:]) + 1, slow_errors(a[1:], b[1:]) + (a[0] != b[0]))


@given(WORDS, WORDS)
def test_word_errors_are_the_least_changes(a, b):
    assert audio.word_errors(a, b) == slow_errors(a, b)


def test_the_rate_pools_pieces_and_ignores_case_and_commas():
    heard = {
        "original": ["Ask not, what your country", "can do"],
        "roundtrip": ["ask NOT what your", "can do"],
        "measured": ["", "cannot do it now"],
    }
    assert audio.word_scores(heard) == {"roundtrip": pytest.approx(1 / 7), "measured": pytest.approx(8 / 7)}


def test_without_a_word_in_the_original_there_is_no_rate():
    assert audio.word_scores({"original": ["", "..."], "measured": ["hello", ""]}) == {"measured": None}


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    """A CTC recogniser of random weights, which babbles the same of the same sound."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("asr")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c", "d", "e", "f", "g", "h"]
    (folder / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(sampling_rate=8000), tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    stem = {"conv_dim": (16, 16), "conv_kernel": (10, 10), "conv_stride": (40, 20), "num_feat_extract_layers": 2}
    places = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    model = Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=len(letters), pad_token_id=0, **sizes, **stem, **places))
    with torch.no_grad():
        model.lm_head.weight.mul_(50)
        model.lm_head.bias.copy_(torch.tensor([0.0, -99, -99, -99, 1] + [0] * 8))
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def sounds(tmp_path):
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal(24_000 * 25)
    for name, sound in {"original": x, "roundtrip": x, "measured": x[::-1]}.items():
        write_sound(tmp_path / "audio" / f"{name}.wav", sound.astype(np.float32), 24_000)
    return tmp_path


def test_a_recogniser_of_a_folder_hears_every_version(recogniser, sounds):
    config = RunConfig(evaluate=EvaluateConfig(asr=str(recogniser)))
    found = hear_words(config, sounds)["words"]
    assert found["wer"]["roundtrip"] == 0
    assert found["wer"]["measured"] > 0
    assert set(found["texts"]) == {"original", "roundtrip", "measured"}
    assert len(found["texts"]["original"].split()) > 5


def test_long_sounds_are_heard_in_pieces(recogniser, sounds):
    heard = audio.transcribe({"original": sounds / "audio/original.wav"}, recogniser)
    assert len(heard["original"]) == 2


def test_without_a_recogniser_nothing_is_heard(sounds):
    assert hear_words(RunConfig(), sounds) == {}


def test_what_is_no_recogniser_is_refused_in_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no folder.*or leave it out"):
        audio.find_recogniser(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="opens as no recogniser"):
        audio.transcribe({}, audio.find_recogniser(str(tmp_path)))


@pytest.mark.parametrize(
    ("features", "asr", "error", "said"),
    [
        ("mel", "nowhere/at/all", WeightsError, "there is no folder"),
        ("bands", "nowhere/at/all", ConfigError, "hears nothing: no sound is made"),
    ],
)
def test_a_recogniser_that_would_hear_nothing_is_refused_before_training(sounds, features, asr, error, said):
    study = study_from_files(sounds / "audio/original.wav", tr_s=1.5)
    overrides = {"evaluate": {"asr": asr}, "audio": {"features": features}}
    config = build_config({"audio": "audio_mel"}, overrides, seed=0, plumbing=False)
    with pytest.raises(error, match=said):
        check_plan(study, config, Registry.discover(), brain=False)
