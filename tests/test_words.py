"""Texts from embeddings, exactly, and how like the right words they are, against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from giblet.errors import DataError
from giblet.words import bleu, exact, ranks, recover, standing, token_f1, typical
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

TEXTS = st.lists(st.text("ab cd.", max_size=12), min_size=1, max_size=6)


def corpus(k=500, d=32, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(k, d)) + 3  # a common direction, as sentence embeddings have
    return rng, x / np.linalg.norm(x, axis=1, keepdims=True), [f"text {i}" for i in range(k)]


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_nearest_texts_equal_scikit_learns(noise):
    rng, x, texts = corpus()
    values = x[rng.integers(0, 500, 1500)] + noise * rng.normal(size=(1500, 32))
    found, scores = recover(values, x, texts)
    reference = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(x - x.mean(0))
    distance, index = reference.kneighbors(values - x.mean(0))
    assert found == [texts[i] for i in index[:, 0]]
    np.testing.assert_allclose(scores, 1 - distance[:, 0], atol=1e-9)


def test_ranks_equal_the_order_of_scikit_learns_neighbours():
    rng, x, texts = corpus(60)
    values = x + 0.2 * rng.normal(size=x.shape)
    reference = NearestNeighbors(n_neighbors=60, metric="cosine", algorithm="brute").fit(x - x.mean(0))
    order = reference.kneighbors(values - x.mean(0), return_distance=False)
    expected = [list(row).index(i) + 1 for i, row in enumerate(order)]
    np.testing.assert_array_equal(ranks(values, x, texts, texts), expected)


def test_exact_without_noise_and_at_chance_for_random_embeddings():
    rng, x, texts = corpus(200)
    assert recover(x, x, texts)[0] == texts
    assert ranks(x, x, texts, texts).tolist() == [1.0] * 200
    truth = [texts[i] for i in rng.integers(0, 200, 4000)]
    random = rng.normal(size=(4000, 32))
    hits = np.mean([a == b for a, b in zip(recover(random, x, texts)[0], truth, strict=True)])
    assert abs(hits - 1 / 200) < 3 * np.sqrt(1 / 200 / 4000)
    assert abs(ranks(random, x, texts, truth).mean() - 100.5) < 3 * 200 / np.sqrt(12 * 4000)


def test_a_prediction_that_says_nothing_ranks_in_the_middle():
    _, x, texts = corpus(101)
    middle = np.repeat(x.mean(0, keepdims=True), 101, axis=0)
    assert ranks(middle, x, texts, texts).tolist() == [51.0] * 101


def test_equal_embeddings_share_their_places():
    _, x, texts = corpus(10)
    twins = np.concatenate([x, x[:3]])
    better, tied = standing(x, twins, np.arange(10))
    assert better.tolist() == [0] * 10
    assert tied.tolist() == [2, 2, 2] + [1] * 7
    assert ranks(x, twins, [*texts, "a", "b", "c"], texts).tolist() == [1.5] * 3 + [1.0] * 7


def test_a_text_that_the_corpus_lacks_has_no_rank():
    _, x, texts = corpus(5)
    out = ranks(x[:2], x, texts, ["never said", "text 1"])
    assert np.isnan(out[0])
    assert out[1] == 1
    assert np.isnan(ranks(x[:1], x, texts, ["never said"])).all()


def test_a_corpus_of_another_width_or_of_nothing_is_refused():
    _, x, texts = corpus(5)
    with pytest.raises(DataError, match="width 8 cannot be compared with a corpus of width 32"):
        recover(np.zeros((1, 8)), x, texts)
    with pytest.raises(DataError, match="is empty"):
        recover(x, x[:0], [])


def test_what_was_drawn_to_the_mean_is_moved_out_again():
    _, x, texts = corpus(200)
    mean = x.mean(0)
    weak = mean + 0.05 * (x - mean)
    moved = typical(weak, x)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, rtol=1e-6)
    assert (moved * x).sum(1).min() > 0.995
    assert ((weak / np.linalg.norm(weak, axis=1, keepdims=True)) * x).sum(1).min() < (moved * x).sum(1).min()
    assert recover(moved, x, texts)[0] == texts


@given(TEXTS, st.randoms(use_true_random=False))
def test_words_out_of_order_keep_f1_and_lose_exactness(texts, random):
    mixed = [" ".join(random.sample(t.split(), len(t.split()))) for t in texts]
    assert token_f1(mixed, texts) == pytest.approx(1)
    assert exact(texts, texts) == 1
    assert exact(mixed, texts) <= 1


def test_token_f1_by_hand():
    assert token_f1(["The cat, the dog"], ["the cat sat"]) == pytest.approx(2 * 2 / (4 + 3))
    assert token_f1(["nothing shared"], ["at all"]) == 0
    assert token_f1(["", ""], ["", "word"]) == 0.5
    assert token_f1(["a"], ["b"]) + token_f1(["b"], ["b"]) == 1


def test_bleu_is_that_of_sacrebleu_and_counts_short_texts():
    found = ["John walks into the big room .", "yes"]
    wanted = ["John walks slowly into the big room .", "yes"]
    each = [sacrebleu.sentence_bleu(f, [w]).score for f, w in zip(found, wanted, strict=True)]
    assert bleu(found, wanted) == pytest.approx(np.mean(each))
    assert bleu(wanted, wanted) == pytest.approx(100)
    assert bleu(["no overlap here"], ["entirely different words"]) < 10


@pytest.mark.parametrize("score", [token_f1, bleu, exact])
def test_texts_without_a_counterpart_are_refused(score):
    with pytest.raises(DataError, match="give one for each"):
        score(["a"], ["a", "b"])
    with pytest.raises(DataError, match="give one for each"):
        score([], [])
