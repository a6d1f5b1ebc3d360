"""Texts to unit vectors, in batches, each text once and for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from giblet.progress import tell
from numpy.typing import NDArray

from giblet_text_bge import weights
from giblet_text_bge.cache import Embedded, through_cache
from giblet_text_bge.long_texts import LongTexts, counter, in_parts


@dataclass(frozen=True, slots=True)
class Embedder:
    """A SentenceTransformer and what is done with the texts before it sees them."""

    weights: str
    prefix: str = ""
    batch_size: int = 32
    long_texts: LongTexts = "split"

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings [N, D], from the cache where it has them; errors are those of `embed`."""
        return self.embed(texts).vectors

    def fresh(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings [N, D], kept nowhere: for texts that nobody asks for again, such as guesses."""
        return self._compute(list(texts)).vectors

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Unit embeddings, from the cache where it has them.

        Raises
        ------
        DataError
            If a text is too long and `long_texts` is "refuse".
        WeightsError
            If the embedder cannot be had.
        """
        key = (weights.identity(self.weights), self.prefix, self.long_texts)
        return through_cache(texts, key, self._compute)

    def _compute(self, texts: list[str]) -> Embedded:
        """Embed texts; of one in parts, the mean of its parts weighted by their letters, at length 1."""
        model = weights.load(self.weights)
        parts = self._parts(model, texts)
        flat = self._encode(model, [part for each in parts for part in each])
        which = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
        letters = np.array([len(part) or 1 for each in parts for part in each], np.float32)
        pooled = np.zeros((len(parts), flat.shape[1]), np.float32)
        np.add.at(pooled, which, flat * letters[:, None])
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return Embedded(pooled, np.bincount(which, minlength=len(parts)))

    def _parts(self, model: Any, texts: list[str]) -> list[list[str]]:
        count = counter(model, self.prefix)
        if count is None:
            return [[text] for text in texts]
        return in_parts(texts, count, int(model.get_max_seq_length()), self.long_texts, self.weights)

    def _encode(self, model: Any, texts: list[str]) -> NDArray[np.float32]:
        """Batches of texts of like length, the shortest first; a prompt of the model's own is left out."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        made: list[NDArray[np.float32]] = []
        for at in range(0, len(order), self.batch_size):
            tell("embed", at, len(order))
            batch = [self.prefix + texts[i] for i in order[at : at + self.batch_size]]
            made.append(model.encode(batch, prompt="", normalize_embeddings=True, show_progress_bar=False))
        tell("embed", len(order), len(order))
        return np.concatenate(made)[np.argsort(order)].astype(np.float32)
