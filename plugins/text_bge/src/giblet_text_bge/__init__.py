"""Sentence embeddings of annotations, and the texts back."""

from giblet.words import ranks, recover

from giblet_text_bge.modality import TextBge, register_modalities

__all__ = ["TextBge", "ranks", "recover", "register_modalities"]
