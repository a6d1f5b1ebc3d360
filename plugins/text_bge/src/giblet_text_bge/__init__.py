"""Sentence embeddings of annotations, and the nearest texts back."""

from giblet_text_bge.modality import TextBge, register_modalities
from giblet_text_bge.recovery import ranks, recover

__all__ = ["TextBge", "ranks", "recover", "register_modalities"]
