"""Texts by their embeddings, and how like the right words the found ones are."""

from giblet.words.likeness import bleu, exact, token_f1
from giblet.words.nearest import ranks, recover, similarity, standing, typical

__all__ = ["bleu", "exact", "ranks", "recover", "similarity", "standing", "token_f1", "typical"]
