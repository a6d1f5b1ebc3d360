"""How like the original a decoded text is, by its embedding [n, D] against those of all texts of the set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from giblet.analysis.scores import Real
from giblet.errors import DataError
from giblet.types import Features, Float, Int


def metrics(original: Float, reconstruction: Float, texts: Sequence[str] | None = None) -> dict[str, float]:
    """Centred cosine and retrieval of embeddings [n, D] among the unique texts (default: the unique embeddings)."""
    return {"cosine": centred_cosine(original, reconstruction), **retrieval(original, reconstruction, texts)}


def compare(
    versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int
) -> Mapping[str, Mapping[str, float | None]]:
    """`metrics` of each version against the `original`, as features; files and samples a TR are not needed."""
    flat = {v: np.asarray(f.values).reshape(len(f.values), -1) for v, f in versions.items()}
    original, texts = flat.pop("original"), versions["original"].attrs.get("texts")
    return {v: metrics(original, made, texts) for v, made in flat.items()}


def _same_shape(a: Float, b: Float) -> None:
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise DataError(f"cannot compare embeddings of shapes {a.shape} and {b.shape}; both must be the same [n, D]")


def _unit(x: Float, center: Float) -> Real:
    """Rows minus the centre, scaled to length 1; zero rows stay zero."""
    rows = np.asarray(x, np.float64) - center
    norm = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norm > 1e-12, norm, 1.0))


def centred_cosine(original: Float, reconstruction: Float, center: Float | None = None) -> float:
    """Mean cosine after taking away `center` [D] (default: the mean of the originals).

    Raw cosines of sentence embeddings are high for unrelated texts; the centred one is about 0.
    """
    _same_shape(original, reconstruction)
    middle = np.asarray(np.mean(original, axis=0) if center is None else center, np.float64)
    return float((_unit(original, middle) * _unit(reconstruction, middle)).sum(1).mean())


def unique_texts(original: Float, texts: Sequence[str] | None) -> tuple[Real, Int]:
    """One embedding a distinct text [K, D], and which of them each sample is, [n]."""
    keys = np.asarray(texts) if texts is not None else np.asarray(original)
    if len(keys) != len(original):
        raise DataError(f"{len(original)} embeddings but {len(keys)} texts; give one text a row")
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return np.asarray(original, np.float64)[first], which.reshape(-1)


def retrieval(original: Float, reconstruction: Float, texts: Sequence[str] | None = None) -> dict[str, float]:
    """Find each sample's text among the K unique ones by centred cosine: top-1, top-5 and two-way, with chance.

    Samples of an identical text share one candidate, so finding any of them is a hit. Other ties are a fair draw.

    Raises
    ------
    DataError
        If the shapes differ or there are fewer than two distinct texts.
    """
    _same_shape(original, reconstruction)
    candidates, which = unique_texts(original, texts)
    n = len(candidates)
    if n < 2:
        raise DataError("retrieval needs at least two distinct texts")
    middle = candidates.mean(0)
    similarity = _unit(reconstruction, middle) @ _unit(candidates, middle).T
    own = similarity[np.arange(len(which)), which][:, None]
    better = (similarity > own + 1e-9).sum(1)
    tied = (np.abs(similarity - own) <= 1e-9).sum(1)
    return {
        "top1": float(np.clip((1 - better) / tied, 0, 1).mean()),
        "top5": float(np.clip((5 - better) / tied, 0, 1).mean()),
        "two_way": float((1 - (better + (tied - 1) / 2) / (n - 1)).mean()),
        "chance_top1": 1 / n,
        "chance_top5": min(5 / n, 1.0),
        "chance_two_way": 0.5,
        "set_size": float(n),
    }
