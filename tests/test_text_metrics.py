"""What decoded texts are scored by, against independent formulas and known cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from giblet.analysis.text import Corpus, centred_cosine, compare, metrics, noise_curve, retrieval
from giblet.analysis.text.noise import with_noise
from giblet.errors import DataError
from giblet.types import Features
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.standard_normal((40, 16)) + 3
TEXTS = [f"line {i} says {'abcdefghij'[i % 10]}" for i in range(40)]
CORPUS = Corpus.of(EMBEDDINGS, TEXTS)


def features(values, texts=TEXTS, **attrs):
    return Features.regular(np.asarray(values, np.float32)[:, None], 1, texts=list(texts), **attrs)


def brute(values, own, corpus):
    """Ranks by scikit-learn, ties broken by no order at all: middle ranks."""
    from scipy.stats import rankdata

    near = cosine_similarity(values - corpus.mean(0), corpus - corpus.mean(0)).round(9)
    return np.array([rankdata(-row)[i] for row, i in zip(near, own, strict=True)])


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_retrieval_equals_brute_force(noise):
    values = EMBEDDINGS + noise * RNG.standard_normal(EMBEDDINGS.shape)
    found, rank = retrieval(values, TEXTS, CORPUS), brute(values, np.arange(40), EMBEDDINGS)
    assert found["top1"] == pytest.approx((rank == 1).mean())
    assert found["top5"] == pytest.approx((rank <= 5).mean())
    assert found["median_rank"] == pytest.approx(np.median(rank))
    assert found["two_way"] == pytest.approx(1 - (rank.mean() - 1) / 39)
    assert [found[k] for k in ("chance_top1", "chance_top5", "chance_median_rank", "set_size", "ranked")] == [
        1 / 40,
        5 / 40,
        20.5,
        40,
        40,
    ]


def test_a_text_finds_itself_and_its_words():
    scores = metrics(EMBEDDINGS, EMBEDDINGS, TEXTS, CORPUS)
    assert [scores[k] for k in ("top1", "top5", "two_way", "median_rank", "token_f1")] == [1, 1, 1, 1, 1]
    assert scores["cosine"] == pytest.approx(1)
    assert scores["bleu"] == pytest.approx(100)


def test_the_mean_text_is_at_chance_though_its_raw_cosine_is_high():
    mean = np.broadcast_to(EMBEDDINGS.mean(0), EMBEDDINGS.shape)
    raw = (mean * EMBEDDINGS).sum(1) / np.linalg.norm(mean, axis=1) / np.linalg.norm(EMBEDDINGS, axis=1)
    scores = metrics(EMBEDDINGS, mean, TEXTS, CORPUS)
    assert raw.mean() > 0.8
    assert scores["cosine"] == pytest.approx(0, abs=1e-6)
    for score in ("top1", "top5", "two_way", "median_rank"):
        assert scores[score] == pytest.approx(scores[f"chance_{score}"])


def test_noise_is_at_chance():
    drawn = [np.random.default_rng(i).standard_normal((40, 16)) + 3 for i in range(60)]
    scores = [retrieval(x, TEXTS, CORPUS) for x in drawn]
    assert np.mean([s["two_way"] for s in scores]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([s["top5"] for s in scores]) == pytest.approx(5 / 40, abs=0.03)
    assert np.mean([s["median_rank"] for s in scores]) == pytest.approx(20.5, abs=1)


def test_identical_texts_are_one_candidate():
    which = np.arange(40) % 5
    texts = [TEXTS[i] for i in which]
    scores = retrieval(EMBEDDINGS[which], texts, Corpus.of(EMBEDDINGS[which], texts))
    assert [scores[k] for k in ("top1", "set_size", "chance_top1", "chance_top5", "ranked")] == [1, 5, 0.2, 1, 40]


def test_candidates_with_one_embedding_are_a_fair_draw():
    twins = Corpus(["a", "b", "c", "d"], EMBEDDINGS[[0, 0, 0, 1]])
    scores = retrieval(EMBEDDINGS[[0]], ["b"], twins)
    assert scores["top1"] == pytest.approx(1 / 3)
    assert scores["median_rank"] == 2
    assert scores["two_way"] == pytest.approx(1 - 1 / 3)


def test_texts_that_the_corpus_lacks_are_not_counted():
    some = retrieval(EMBEDDINGS, [*TEXTS[:10], *["never said"] * 30], CORPUS)
    assert (some["top1"], some["ranked"], some["set_size"]) == (1, 10, 40)
    none = retrieval(EMBEDDINGS, ["never said"] * 40, CORPUS)
    assert (none["top1"], none["two_way"], none["median_rank"], none["ranked"]) == (None, None, None, 0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="two distinct"):
        retrieval(EMBEDDINGS[:3], ["a"] * 3, Corpus.of(EMBEDDINGS[:3], ["a"] * 3))
    with pytest.raises(DataError, match="one text a row"):
        Corpus.of(EMBEDDINGS, ["a"])
    with pytest.raises(DataError, match="of shapes"):
        centred_cosine(EMBEDDINGS, EMBEDDINGS[:3])


def test_compare_looks_in_the_corpus_that_came_along():
    corpus = {"corpus_texts": np.array(TEXTS), "corpus_embeddings": EMBEDDINGS.astype(np.float32)}
    original = features(EMBEDDINGS[:6], TEXTS[:6], **corpus)
    found = compare({"original": original, "measured": features(EMBEDDINGS[:6], TEXTS[:6])}, {}, np.ones(6))
    assert (found["measured"]["set_size"], found["measured"]["top1"]) == (40, 1)
    alone = compare({"original": features(EMBEDDINGS[:6], TEXTS[:6]), "measured": original}, {}, np.ones(6))
    assert alone["measured"]["set_size"] == 6


def test_features_without_texts_are_scored_by_their_embeddings_alone():
    bare = Features.regular(EMBEDDINGS[[0, 1, 0]], 1)
    scores = compare({"original": bare, "measured": bare}, {}, np.ones(3))["measured"]
    assert (scores["top1"], scores["set_size"]) == (1, 2)
    assert "token_f1" not in scores


def put(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_inverted_words_are_scored_and_their_control_is_late(tmp_path):
    made = put(tmp_path / "measured.tsv", "recovered\tinverted", [f"x\t{t}" for t in TEXTS[:6]])
    plain = put(tmp_path / "predicted.tsv", "recovered", ["x"] * 6)
    f = features(EMBEDDINGS[:6], TEXTS[:6])
    versions = dict.fromkeys(("original", "measured", "predicted", "permuted"), f)
    found = compare(versions, {"measured": made, "predicted": plain}, np.ones(6))
    assert found["measured"]["inverted_token_f1"] == 1
    assert found["measured"]["inverted_bleu"] == pytest.approx(100)
    assert "inverted_bleu" not in found["predicted"]
    assert found["permuted"]["inverted_token_f1"] == pytest.approx(0.5)  # "line N says X": two words of four


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 8), st.booleans())
def test_the_cosine_at_a_level_of_noise_is_known(level, shaped):
    rng = np.random.default_rng(1)
    wide = rng.standard_normal((300, 100)) + 1
    (row,) = noise_curve(wide, [str(i) for i in range(300)], levels=(level,), shaped=shaped)
    assert row["cosine"] == pytest.approx(1 / np.sqrt(1 + level**2), abs=0.05)


@pytest.mark.parametrize("shaped", [False, True])
def test_noise_has_its_length_and_its_shape(shaped):
    scale = np.array([8.0, 1, 1, 1])
    texts = np.random.default_rng(2).standard_normal((3000, 4)) * scale
    noise = with_noise(texts, Corpus(["a"] * 3000, texts), 2.0, 0, shaped=shaped) - texts
    assert np.sqrt((noise**2).sum(1).mean()) == pytest.approx(2 * np.sqrt((scale**2).sum()), rel=0.05)
    assert noise[:, 0].std() / noise[:, 1].std() == pytest.approx(8 if shaped else 1, rel=0.1)


def test_noise_takes_words_away_and_inversion_stands_beside():
    rows = noise_curve(EMBEDDINGS, TEXTS, levels=(0, 1, 8), seed=3, invert=lambda v: ["says"] * len(v))
    top = [r["top1"] for r in rows]
    assert top[0] == 1 > top[1] > top[2]
    assert [r["noise"] for r in rows] == [0, 1, 8]
    assert rows[0]["token_f1"] == 1 > rows[2]["token_f1"]
    assert [r["inverted_token_f1"] for r in rows] == pytest.approx([0.4] * 3)  # one word of four, found alone
    again = noise_curve(EMBEDDINGS, TEXTS, levels=(0, 1, 8), seed=3)
    assert [r["top1"] for r in again] == top
