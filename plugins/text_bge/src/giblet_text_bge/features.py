"""Annotations to the texts that are embedded, and the corpus that they are recovered from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from giblet.errors import DataError
from giblet.media import Annotations, read_annotations, read_table, spread_words
from giblet.types import EVENT_TIMEBASE, Float, Int, Source

Spread = Literal["repeat", "words"]


def read_events(source: Source, spread: Spread, context_s: float) -> Annotations:
    """The texts that are embedded, with their times; context reaches back over where the source is cut.

    Raises
    ------
    DataError
        If there is none.
    """
    table = read_annotations(source)
    table = spread_words(table) if spread == "words" else table
    texts = with_context(table.text, table.onset_s, table.duration_s, context_s)
    kept = cut(table, source.start_s, source.stop_s)
    if not len(kept):
        raise DataError(f"{source.path} has no annotation between start_s and stop_s; take a longer stretch")
    return Annotations(table.onset_s[kept], table.duration_s[kept], [texts[i] for i in kept], notes=table.notes)


def read_corpus(path: Path) -> list[str]:
    """The texts of a file, each once, whitespace normalised: one a line of a .txt, or those of an annotation table.

    Raises
    ------
    DataError
        If it cannot be read or holds no text.
    """
    if not path.is_file():
        raise DataError(f"text.corpus: there is no file {path}; give a .txt with a text a line, or a table with texts")
    if path.suffix.lower() != ".txt":
        return unique(read_table(path).text)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"text.corpus: {path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if not any(line.strip() for line in lines):
        raise DataError(f"text.corpus: {path} holds no text; write one a line")
    return unique(lines)


def unique(texts: Sequence[str]) -> list[str]:
    """Each text once, in order, whitespace normalised; empty ones left out."""
    return [text for text in dict.fromkeys(" ".join(t.split()) for t in texts) if text]


def with_context(text: Sequence[str], onset_s: Float, duration_s: Float, context_s: float) -> list[str]:
    """The text of each event, whitespace normalised; with `context_s` all that was said in the seconds before its end.

    Event n then gets every text whose onset lies in (end_n - context_s, end_n), in order, and always itself: what
    begins at its very end is not yet heard. Onsets must not go back. Times are compared to the microsecond.
    """
    plain = [" ".join(t.split()) for t in text]
    if context_s == 0:
        return plain
    onset, end, length = _ticks(onset_s), _ticks(onset_s + duration_s), int(_ticks(np.array([context_s]))[0])
    own = np.arange(len(plain))
    low = np.minimum(np.searchsorted(onset, end - length, side="right"), own)
    high = np.maximum(np.searchsorted(onset, end, side="left"), own + 1)
    return [" ".join(plain[a:b]) for a, b in zip(low, high, strict=True)]


def cut(table: Annotations, start_s: Fraction | None, stop_s: Fraction | None) -> Int:
    """Which events reach into [start_s, stop_s), as indices."""
    stop = table.onset_s + table.duration_s
    inside = np.ones(len(stop), bool)
    if start_s is not None:
        inside &= np.maximum(stop, table.onset_s + float(EVENT_TIMEBASE)) > float(start_s)
    if stop_s is not None:
        inside &= table.onset_s < float(stop_s)
    return np.flatnonzero(inside)


def _ticks(times_s: Float) -> Int:
    return np.rint(times_s / float(EVENT_TIMEBASE)).astype(np.int64)
