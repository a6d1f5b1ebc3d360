"""The texts among which a decoded one is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from giblet.errors import DataError
from giblet.types import Features, Float


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """K different texts and their embeddings [K, D]."""

    texts: list[str]
    embeddings: Float

    @classmethod
    def of(cls, embeddings: Float, texts: Sequence[str]) -> Corpus:
        """Each text once, with the first of its embeddings [N, D].

        Raises
        ------
        DataError
            If there is not one text an embedding.
        """
        if len(texts) != len(embeddings):
            raise DataError(f"{len(embeddings)} embeddings but {len(texts)} texts; give one text a row")
        first = {text: i for i, text in reversed(list(enumerate(texts)))}
        return cls(list(first), np.asarray(embeddings)[list(first.values())])

    @classmethod
    def along(cls, original: Features) -> Corpus:
        """The corpus that a modality sent along (`attrs` `corpus_texts`, `corpus_embeddings`), else the texts alone."""
        attrs = original.attrs
        if "corpus_texts" in attrs:
            return cls([str(t) for t in attrs["corpus_texts"]], attrs["corpus_embeddings"])
        rows = flat(original)
        return cls.of(rows, attrs.get("texts") or names_of(rows))


def flat(features: Features) -> Float:
    """Embeddings as rows, [N, D]."""
    return np.asarray(features.values).reshape(len(features.values), -1)


def names_of(rows: Float) -> list[str]:
    """A name for each embedding [N, D] that has no text: the same for the same."""
    return [str(i) for i in np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)]
