"""Scores of every version of a block of text, beside its controls."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from giblet.analysis.text.corpus import Corpus, flat, names_of
from giblet.analysis.text.retrieval import centred_cosine, retrieval, same_shape
from giblet.types import Features, Float, Int
from giblet.words import bleu, recover, token_f1

Scores = dict[str, float | None]


def metrics(original: Float, reconstruction: Float, texts: Sequence[str], corpus: Corpus) -> Scores:
    """Centred cosine of embeddings [n, D], retrieval of their texts [n] in a corpus, and words of the nearest ones.

    Raises
    ------
    DataError
        If the shapes differ, or the corpus has fewer than two texts.
    """
    same_shape(original, reconstruction)
    cosine = centred_cosine(original, reconstruction, corpus.embeddings.mean(0))
    nearest, _ = recover(reconstruction, corpus.embeddings, corpus.texts)
    return {"cosine": cosine, **retrieval(reconstruction, texts, corpus), **in_words(nearest, texts)}


def in_words(found: Sequence[str], texts: Sequence[str], prefix: str = "") -> Scores:
    """Token F1 and BLEU of found texts."""
    return {f"{prefix}token_f1": token_f1(found, texts), f"{prefix}bleu": bleu(found, texts)}


def compare(versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int) -> Mapping[str, Scores]:
    """`metrics` of each version against the `original`; where a file has words by inversion, theirs too.

    Inverted words of `permuted`, which has no file, are those of `measured` half of the rows later. Without texts there
    are no scores in words.
    """
    original = versions["original"]
    texts, corpus, rows = original.attrs.get("texts"), Corpus.along(original), flat(original)
    if not texts:
        names = names_of(rows)
        return {v: _unworded(rows, flat(f), names, corpus) for v, f in versions.items() if v != "original"}
    scores = {v: metrics(rows, flat(f), texts, corpus) for v, f in versions.items() if v != "original"}
    made = {v: words for v, path in files.items() if v in scores and (words := _inverted(path))}
    if "measured" in made and "permuted" in scores:
        late = len(texts) // 2
        made["permuted"] = [*made["measured"][-late:], *made["measured"][:-late]] if late else made["measured"]
    return {v: {**s, **(in_words(made[v], texts, "inverted_") if v in made else {})} for v, s in scores.items()}


def _unworded(original: Float, reconstruction: Float, names: Sequence[str], corpus: Corpus) -> Scores:
    same_shape(original, reconstruction)
    cosine = centred_cosine(original, reconstruction, corpus.embeddings.mean(0))
    return {"cosine": cosine, **retrieval(reconstruction, names, corpus)}


def _inverted(path: Path) -> list[str]:
    """The column `inverted` of a table of recovered texts; nothing where there is none."""
    if path.suffix != ".tsv":
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row["inverted"] for row in csv.DictReader(file, delimiter="\t") if "inverted" in row]
