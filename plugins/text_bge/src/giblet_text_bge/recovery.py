"""From embeddings back to texts: the nearest text of a corpus, exactly, by centred cosine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from giblet.errors import DataError
from giblet.types import Float
from numpy.typing import NDArray

ROWS_AT_ONCE = 1024


def similarity(values: Float, corpus_embeddings: Float) -> NDArray[np.float64]:
    """Centred cosine of [N, D] with the corpus [K, D], [N, K], in -1..1.

    The corpus's mean is taken off both: raw cosines of unrelated sentences lie high and close together (anisotropy,
    Ethayarajh 2019, doi:10.18653/v1/D19-1006). What equals the mean has no direction and scores 0.

    Raises
    ------
    DataError
        If the corpus is empty or of another width.
    """
    corpus, x = np.asarray(corpus_embeddings, np.float64), np.asarray(values, np.float64)
    if not len(corpus):
        raise DataError("the corpus to recover texts from is empty; give annotations with text")
    if x.shape[1] != corpus.shape[1]:
        raise DataError(f"embeddings of width {x.shape[1]} cannot be compared with a corpus of width {corpus.shape[1]}")
    mean = corpus.mean(0)
    return _unit(x - mean) @ _unit(corpus - mean).T


def recover(
    values: Float, corpus_embeddings: Float, corpus_texts: Sequence[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """The nearest text of the corpus [K, D] for each of [N, D], and its centred cosine [N]. Exact search."""
    texts: list[str] = []
    scores = [np.zeros(0)]
    for start in range(0, len(values), ROWS_AT_ONCE):
        near = similarity(values[start : start + ROWS_AT_ONCE], corpus_embeddings)
        texts += [str(corpus_texts[i]) for i in near.argmax(1)]
        scores.append(near.max(1))
    return texts, np.concatenate(scores)


def ranks(
    values: Float, corpus_embeddings: Float, corpus_texts: Sequence[str], originals: Sequence[str]
) -> NDArray[np.float64]:
    """The rank of each original among the corpus, [N], 1 the best; NaN where the corpus does not hold it.

    Ties share their middle rank, so that a prediction that says nothing ranks in the middle, at chance. A corpus lists
    each text once.
    """
    place = {str(text): i for i, text in enumerate(corpus_texts)}
    out = np.full(len(originals), np.nan)
    known = np.array([i for i, text in enumerate(originals) if text in place], np.int64)
    for rows in np.array_split(known, -(-len(known) // ROWS_AT_ONCE) or 1):
        near = similarity(values[rows], corpus_embeddings)
        own = near[np.arange(len(rows)), [place[originals[i]] for i in rows]][:, None]
        out[rows] = 1 + (near > own).sum(1) + ((near == own).sum(1) - 1) / 2
    return out


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-12)
