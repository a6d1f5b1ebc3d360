"""From embeddings back to texts: the nearest text of a corpus, exactly, by centred cosine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import Array, Float, Int

ROWS_AT_ONCE = 1024
TIE = 1e-9
"""Cosines closer than this are equal: a matrix product may round equal rows differently."""
Real = NDArray[np.float64]


def similarity(values: Float, corpus_embeddings: Float) -> Real:
    """Centred cosine of [N, D] with the corpus [K, D], [N, K], in -1..1.

    The corpus's mean is taken off both: raw cosines of unrelated sentences lie high and close together (anisotropy,
    Ethayarajh 2019, doi:10.18653/v1/D19-1006). What equals the mean has no direction and scores 0.

    Raises
    ------
    DataError
        If the corpus is empty or of another width, or an embedding is not finite.
    """
    corpus, x = np.asarray(corpus_embeddings, np.float64), np.asarray(values, np.float64)
    if not len(corpus):
        raise DataError("the corpus to recover texts from is empty; give annotations with text")
    if x.shape[1] != corpus.shape[1]:
        raise DataError(f"embeddings of width {x.shape[1]} cannot be compared with a corpus of width {corpus.shape[1]}")
    if bad := int(np.count_nonzero(~np.isfinite(x).all(1))):
        raise DataError(
            f"{bad} of {len(x)} embeddings are not finite, so no text is nearest; mend them, or leave them out"
        )
    mean = corpus.mean(0)
    return _unit(x - mean) @ _unit(corpus - mean).T


def recover(values: Float, corpus_embeddings: Float, corpus_texts: Sequence[str]) -> tuple[list[str], Real]:
    """The nearest text of the corpus [K, D] for each of [N, D], and its centred cosine [N]. Exact search."""
    near = [(s.argmax(1), s.max(1)) for _, s in _by_rows(values, corpus_embeddings)]
    texts = [str(corpus_texts[i]) for index, _ in near for i in index]
    return texts, np.concatenate([np.zeros(0), *(score for _, score in near)])


def standing(values: Float, corpus_embeddings: Float, own: Int) -> tuple[Int, Int]:
    """How many of the corpus [K, D] are nearer to each of [N, D] than `own` [N], its place there; how many are as near.

    The second counts `own` itself, so it is at least 1.
    """
    better, tied = np.zeros(len(own), np.int64), np.ones(len(own), np.int64)
    for rows, near in _by_rows(values, corpus_embeddings):
        mine = near[np.arange(len(near)), own[rows]][:, None]
        better[rows] = (near > mine + TIE).sum(1)
        tied[rows] = (np.abs(near - mine) <= TIE).sum(1)
    return better, tied


def ranks(values: Float, corpus_embeddings: Float, corpus_texts: Sequence[str], originals: Sequence[str]) -> Real:
    """The rank of each original among the corpus, [N], 1 the best; NaN where the corpus does not hold it.

    Ties share their middle rank, so that a prediction that says nothing ranks in the middle, at chance. A corpus lists
    each text once.
    """
    own = places(corpus_texts, originals)
    out, known = np.full(len(own), np.nan), own >= 0
    better, tied = standing(np.asarray(values)[known], corpus_embeddings, own[known])
    out[known] = 1 + better + (tied - 1) / 2
    return out


def places(corpus_texts: Sequence[str], originals: Sequence[str]) -> Int:
    """Where in the corpus each original stands, [N]; -1 where it does not."""
    place = {str(text): i for i, text in enumerate(corpus_texts)}
    return np.array([place.get(str(text), -1) for text in originals], np.int64)


def typical(values: Float, corpus_embeddings: Float) -> NDArray[np.float32]:
    """Unit vectors [N, D] in the direction of `values` from the corpus's mean, as far from it as its texts are.

    What is decoded from noise is drawn to the mean, and says little of its own until it is as far out as a text.
    """
    corpus = np.asarray(corpus_embeddings, np.float64)
    mean = corpus.mean(0)
    radius = np.sqrt(((corpus - mean) ** 2).sum(1).mean())
    return _unit(mean + radius * _unit(np.asarray(values, np.float64) - mean)).astype(np.float32)


def _by_rows(values: Array, corpus_embeddings: Float) -> Iterator[tuple[slice, Real]]:
    """Similarities, some rows at a time, so that memory does not grow with N."""
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        yield rows, similarity(values[rows], corpus_embeddings)


def _unit(x: Real) -> Real:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-12)
