"""Is the right text the nearest? By centred cosine, among a corpus, with chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from giblet.analysis.text.corpus import Corpus
from giblet.errors import DataError
from giblet.types import Float, Int
from giblet.words import standing
from giblet.words.nearest import places

TOP = (1, 5)


def centred_cosine(original: Float, reconstruction: Float, center: Float | None = None) -> float:
    """Mean cosine of [n, D] after taking away `center` [D] (default: the mean of the originals).

    Raw cosines of sentence embeddings are high for unrelated texts; the centred one is about 0.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    same_shape(original, reconstruction)
    middle = np.asarray(np.mean(original, axis=0) if center is None else center, np.float64)
    a, b = (np.asarray(x, np.float64) - middle for x in (original, reconstruction))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.where(length > 1e-12, (a * b).sum(1) / np.where(length > 1e-12, length, 1.0), 0.0).mean())


def retrieval(reconstruction: Float, texts: Sequence[str], corpus: Corpus) -> dict[str, float | None]:
    """Look for each sample's text [n] in the corpus: top-1, top-5, median rank and two-way, with chance and set size.

    A text that occurs often is one candidate. Candidates that are as near share their places as a fair draw would.
    Texts that the corpus does not hold are not counted (`ranked` are); without any that it holds all scores are None.

    Raises
    ------
    DataError
        If the corpus has fewer than two texts.
    """
    size = len(corpus.texts)
    if size < 2:
        raise DataError("retrieval needs at least two distinct texts")
    own = places(corpus.texts, texts)
    better, tied = standing(reconstruction[own >= 0], corpus.embeddings, own[own >= 0])
    scores = _scores(better, tied, size) if len(better) else dict.fromkeys(("top1", "top5", "median_rank", "two_way"))
    chances = {"chance_top1": 1 / size, "chance_top5": min(5 / size, 1.0), "chance_two_way": 0.5}
    return {**scores, **chances, "chance_median_rank": (size + 1) / 2, "set_size": size, "ranked": len(better)}


def _scores(better: Int, tied: Int, size: int) -> dict[str, float | None]:
    middle = better + (tied - 1) / 2
    shares = {f"top{k}": float(np.clip((k - better) / tied, 0, 1).mean()) for k in TOP}
    return {**shares, "median_rank": 1 + float(np.median(middle)), "two_way": float((1 - middle / (size - 1)).mean())}


def same_shape(a: Float, b: Float) -> None:
    """Refuse embeddings that are not of the same samples."""
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise DataError(f"cannot compare embeddings of shapes {a.shape} and {b.shape}; both must be the same [n, D]")
