"""Annotations word by word: each with its own onset, and how many come in a second."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.alignment.grid import stop_s, tr_index
from giblet.media.annotations import Annotations
from giblet.media.series import read_series
from giblet.media.tables import SUBTITLES, read_table
from giblet.types import Features, TRGrid

SPOKEN = SUBTITLES | {".textgrid"}
"""Files of words with their times."""


def read_rows(path: Path, tr_s: Fraction, start_s: Fraction) -> NDArray[np.floating[Any]]:
    """A table of features [T, P]; of subtitles and TextGrids the word rate, [T, 1], on a clock from `start_s` on.

    Raises
    ------
    DataError
        If it is neither.
    """
    if path.suffix.lower() in SPOKEN:
        return word_rate(read_table(path), tr_s, start_s)
    return read_series(path)


def spread_words(table: Annotations) -> Annotations:
    """One event a word, [W]: the words of an event follow each other over its duration, each as long as its letters.

    Letters stand in for the length in speech. Words of events that overlap are put in order of their onsets; columns
    go with their events, `notes` stay.
    """
    words = sorted(_words(table), key=lambda word: word[0])
    onset, lasts, text, event = (list(part) for part in zip(*words, strict=True))
    columns = {name: [cells[i] for i in event] for name, cells in table.columns.items()}
    return Annotations(np.array(onset, np.float64), np.array(lasts, np.float64), text, columns, table.notes)


def _words(table: Annotations) -> Iterator[tuple[float, float, str, int]]:
    """Onset, duration, word, and the event that it belongs to."""
    for event, text in enumerate(table.text):
        words, heard = text.split(), 0
        letter_s = float(table.duration_s[event]) / max(sum(map(len, words)), 1)
        for word in words:
            yield float(table.onset_s[event]) + heard * letter_s, len(word) * letter_s, word, event
            heard += len(word)


def word_rate(table: Annotations, tr_s: Fraction, start_s: Fraction = Fraction(0)) -> NDArray[np.float64]:
    """Words that begin in each TR, a second, [T, 1]; T reaches to the last word. Silent TRs are 0."""
    words = spread_words(table)
    spoken = Features.events(np.zeros((len(words.text), 0)), words.onset_s, words.duration_s)
    grid = TRGrid(tr_s, max(1, ceil((stop_s(spoken) - start_s) / tr_s)), start_s)
    tr = tr_index(spoken.ticks, spoken.timebase, grid)
    begun = np.bincount(tr[(tr >= 0) & (tr < grid.n_trs)], minlength=grid.n_trs)
    return begun[:, None] / float(tr_s)
