"""Words that a speech recogniser hears in a reconstruction, against those that it hears in the original."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from giblet.errors import ConfigError, WeightsError
from giblet.media import read_sound

PIECE_S = 20.0
"""Recognisers take at most 30 s at once (Whisper); all versions are cut at the same places."""
ADVICE = "give evaluate.asr a folder or hub name of a speech recogniser of transformers, or leave it out"
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def find_recogniser(weights: str) -> Path:
    """The folder of a speech recogniser, from a folder or the model hub.

    Raises
    ------
    WeightsError
        If it cannot be had.
    ConfigError
        If transformers is not installed.
    """
    from giblet.nn import find_pretrained

    if find_spec("transformers") is None:
        raise ConfigError("evaluate.asr needs transformers; pip install transformers, or leave it out")
    return find_pretrained(weights, "evaluate.asr", ADVICE)


def transcribe(files: Mapping[str, Path], recogniser: Path) -> dict[str, list[str]]:
    """What is heard in each file, piece by piece, by a recogniser's folder (CTC or sequence to sequence).

    Raises
    ------
    WeightsError
        If the folder holds no recogniser of speech.
    """
    ask = _pipeline(recogniser)
    rate_hz = int(ask.feature_extractor.sampling_rate)
    return {
        version: [str(ask({"raw": x, "sampling_rate": rate_hz})["text"]) for x in _pieces(path, rate_hz)]
        for version, path in files.items()
    }


def _pipeline(recogniser: Path) -> Any:
    from transformers import pipeline
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # giblet shows its own, and none in a pipe
    try:
        return pipeline("automatic-speech-recognition", model=str(recogniser), device="cpu")
    except Exception as error:  # whatever a foreign folder makes transformers raise
        brief = " ".join(str(error).split())[:100]
        raise WeightsError(f"evaluate.asr={recogniser} opens as no recogniser of speech ({brief}); {ADVICE}") from None


def _pieces(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    for chunk in read_sound(path, rate_hz, chunk_s=PIECE_S):
        yield np.asarray(chunk.values[:, 0])


def words_of(text: str) -> list[str]:
    """Words in small letters, without punctuation."""
    return WORD.findall(text.lower())


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> int:
    """The least number of words to change, leave out or put in, which makes one list of the other (Levenshtein)."""
    costs = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        before, costs[0] = costs[0], i
        for j, other in enumerate(heard, 1):
            before, costs[j] = costs[j], min(costs[j] + 1, costs[j - 1] + 1, before + (word != other))
    return costs[-1]


def word_scores(heard: Mapping[str, Sequence[str]]) -> dict[str, float | None]:
    """Word error rate of each version's pieces against those of `original`: errors over the original's words.

    It may exceed 1. None where no word is heard in the original.
    """
    reference = [words_of(text) for text in heard["original"]]
    total = sum(map(len, reference))
    rates: dict[str, float | None] = {}
    for version, texts in heard.items():
        pieces = zip_longest(reference, map(words_of, texts), fillvalue=list[str]())
        errors = sum(word_errors(a, b) for a, b in pieces)
        rates[version] = errors / total if total else None
    rates.pop("original")
    return rates
