"""What an annotation table is, whatever file it came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError

Cell = Any
Rows = tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """N events: onset and duration in seconds, text, the file's other columns, and what was left out, in words."""

    onset_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    text: list[str]
    columns: dict[str, list[Cell]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Events:
    """Events as they were read; `row` is where each stands in the file, counted from 0."""

    path: Path
    row: list[int]
    onset_s: list[float]
    duration_s: list[float]
    text: list[str]
    columns: dict[str, list[Cell]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def keep(self, wanted: Sequence[bool], why: str) -> Events:
        """Only the events that are wanted; the others are counted in the notes."""
        dropped = len(wanted) - sum(wanted)
        if not dropped:
            return self

        def pick(values: list[Any]) -> list[Any]:
            return [v for v, w in zip(values, wanted, strict=True) if w]

        columns = {name: pick(values) for name, values in self.columns.items()}
        notes = [*self.notes, f"{dropped} {'row' if dropped == 1 else 'rows'} {why} left out"]
        kept = (pick(self.row), pick(self.onset_s), pick(self.duration_s), pick(self.text))
        return Events(self.path, *kept, columns, notes)

    def sort(self) -> Events:
        """Events by onset, as captions are shown; how many were out of order is noted."""
        order = sorted(range(len(self.row)), key=self.onset_s.__getitem__)
        moved = sum(b < a for a, b in zip(self.onset_s, self.onset_s[1:], strict=False))
        row, text = [self.row[i] for i in order], [self.text[i] for i in order]
        onset, length = [self.onset_s[i] for i in order], [self.duration_s[i] for i in order]
        notes = (
            [*self.notes, f"{moved} times a caption stood after a later one; sorted by onset"] if moved else self.notes
        )
        return Events(
            self.path, row, onset, length, text, {k: [v[i] for i in order] for k, v in self.columns.items()}, notes
        )

    def checked(self) -> Annotations:
        """The events as annotations.

        Raises
        ------
        DataError
            If there is none, a time is not finite, a duration is negative, or onsets go back.
        """
        events = self.keep([bool(t) for t in self.text], "without text")
        if not events.row:
            left_out = f" ({'; '.join(events.notes)})" if events.notes else ""
            raise DataError(f"{self.path} has no event with a time and a text{left_out}")
        for row, onset, length in zip(events.row, events.onset_s, events.duration_s, strict=True):
            if not (math.isfinite(onset) and math.isfinite(length)):
                raise DataError(f"{self.path}: the event in row {row} has no finite onset and duration; correct it")
            if length < 0:
                raise DataError(
                    f"{self.path}: the event in row {row} lasts {length:g} s; it must not end before it begins"
                )
        onsets, lengths = np.array(events.onset_s, np.float64), np.array(events.duration_s, np.float64)
        back = np.flatnonzero(np.diff(onsets) < 0)
        if len(back):
            a, b, row, first = onsets[back[0]], onsets[back[0] + 1], events.row[back[0] + 1], self.row[0]
            stop = self.row[-1] + 1
            raise DataError(
                f"{self.path}: the onset goes back from {a:g} to {b:g} s at row {row} (counted from 0): if a second "
                f"run begins there, read one run with rows=({first}, {row}) or rows=({row}, {stop}), in a study.toml "
                f"annotations = {{path = ..., rows = [{first}, {row}]}}"
            )
        return Annotations(onsets, lengths, events.text, events.columns, events.notes)


def cut_rows(n: int, rows: Rows, path: Path) -> range:
    """The rows of a file that are asked for, counted from 0.

    Raises
    ------
    DataError
        If they are not in the file.
    """
    start, stop = rows or (0, n)
    if not 0 <= start < stop <= n and not (rows is None and n == 0):
        raise DataError(f"{path} has rows 0 to {n}; rows=({start}, {stop}) is not within them")
    return range(start, stop)
