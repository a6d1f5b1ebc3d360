"""Annotations to the texts that are embedded."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from giblet.media import Annotations
from giblet.types import EVENT_TIMEBASE, Float, Int


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
