"""What a noisy embedding still says: the quality of recovered texts as noise is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.text.compare import in_words, metrics
from giblet.analysis.text.corpus import Corpus
from giblet.types import Float
from giblet.words import typical

LEVELS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0)
Invert = Callable[[NDArray[np.float32]], list[str]]


def noise_curve(
    embeddings: Float,
    texts: Sequence[str],
    corpus: Corpus | None = None,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    invert: Invert | None = None,
    *,
    shaped: bool = False,
) -> list[dict[str, float | None]]:
    """Scores of embeddings [N, D] at each level of Gaussian noise, a row a level; `noise` is the level.

    A level is the length of the noise, in units of the root mean square distance of the corpus (default: the texts)
    from its mean; the centred cosine at level s is then about 1 / sqrt(1 + s^2), by which a decoded embedding finds
    its place on the curve. Noise is white, or, if `shaped`, has the covariance of the corpus, as errors that confuse
    one text with others have. `invert` makes texts of unit vectors [N, D].
    """
    corpus = Corpus.of(embeddings, texts) if corpus is None else corpus
    rows = []
    for level in levels:
        noisy = with_noise(embeddings, corpus, level, seed, shaped=shaped)
        row: dict[str, float | None] = {"noise": level, **metrics(embeddings, noisy, texts, corpus)}
        if invert is not None:
            row |= in_words(invert(typical(noisy, corpus.embeddings)), texts, "inverted_")
        rows.append(row)
    return rows


def with_noise(
    embeddings: Float, corpus: Corpus, level: float, seed: int, *, shaped: bool = False
) -> NDArray[np.float64]:
    """Embeddings [N, D] with noise of that level; the same noise at each level, longer."""
    known = np.asarray(corpus.embeddings, np.float64)
    apart, rng = known - known.mean(0), np.random.default_rng(seed)
    if shaped:
        noise = rng.standard_normal((len(embeddings), len(apart))) @ apart / np.sqrt(len(apart))
    else:
        noise = rng.standard_normal(embeddings.shape) * np.sqrt((apart**2).mean())
    return np.asarray(embeddings, np.float64) + level * noise
