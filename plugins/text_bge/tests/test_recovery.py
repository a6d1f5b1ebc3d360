from __future__ import annotations

import numpy as np
import pytest
from giblet import DataError
from giblet_text_bge import ranks, recover
from giblet_text_bge.features import with_context
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors


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


def test_context_is_what_was_said_before_the_end():
    words, onset, length = ["a", "b", "c", "d"], np.array([0.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.0, 0.5, 1.0])
    assert with_context(words, onset, length, 2.0) == ["a", "b", "b c", "d"]
    assert with_context(words, onset, length, 2.1) == ["a", "a b", "b c", "d"]
    assert with_context(words, onset, length, 100.0) == ["a", "a b", "a b c", "a b c d"]
    assert with_context([" a\n b ", "c"], onset[:2], length[:2], 0.0) == ["a b", "c"]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2000)), min_size=1, max_size=30), st.integers(1, 5000))
def test_context_equals_its_definition(events, context_ms):
    events = sorted(events)
    onset, length = np.array(events).T / 1000
    words = [f"w{i}" for i in range(len(events))]
    expected = []
    for n, (start, duration) in enumerate(events):
        end = start + duration
        low = min(n, min((i for i, (o, _) in enumerate(events) if o > end - context_ms), default=n))
        heard = [w for i, (w, (o, _)) in enumerate(zip(words, events, strict=True)) if i >= low and (o < end or i <= n)]
        expected.append(" ".join(heard))
    assert with_context(words, onset, length, context_ms / 1000) == expected
