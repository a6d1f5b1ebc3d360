"""TRs, windows and scans of a step, drawn and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from giblet.data.dataset import Timeline, Window
from giblet.model import residual_places
from giblet.training.batch import TRs
from giblet.types import Aligned, Int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a window reads: a person's scan as it was measured, or as it is predicted with residuals from one on."""

    window: Window
    subject: str
    residual: int | None


def read_trs(places: Sequence[tuple[Aligned, int]], most: int, frames: float) -> TRs:
    """Single TRs of some runs, with at most so many frames each."""
    rows = [aligned.rows(np.array([t]), most) for aligned, t in places]
    x, mask = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return TRs(x, mask, frames)


def frames_of(places: Sequence[tuple[Aligned, int]], most: int) -> float:
    """How many frames some TRs have together, of each no more than `most`; at least 1."""
    return float(max(1, sum(min(int(aligned.count[t]), most) for aligned, t in places)))


def draw_scans(timelines: Sequence[Timeline], windows: Sequence[Window], rng: np.random.Generator) -> list[Drawn]:
    """Whose scan each window reads: a measured one, or a predicted one with residuals."""
    drawn = []
    for w in windows:
        people = sorted(timelines[w.timeline].scans)
        subject = people[rng.integers(len(people))]
        measured = rng.random() < 0.5
        residual = None if measured else int(rng.integers(len(residual_places(timelines, subject))))
        drawn.append(Drawn(w, subject, residual))
    return drawn


def scanned(timelines: Sequence[Timeline], windows: Sequence[Window], subject: str) -> NDArray[np.bool_]:
    """Which rows of some windows count for a person, [B, L]."""
    valid = np.zeros((len(windows), len(windows[0].rows)), bool)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            valid[i] = w.supervised & t.scanned[subject][w.rows]
    return valid


def measured(timelines: Sequence[Timeline], windows: Sequence[Window], subject: str) -> NDArray[np.float32]:
    """A person's BOLD in some windows, [B, L, V]; zeros where there is none."""
    voxels = next(t.scans[subject].shape[1] for t in timelines if subject in t.scans)
    y = np.zeros((len(windows), len(windows[0].rows), voxels), np.float32)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            y[i] = t.scans[subject][w.rows]
    return y


def rows_of(windows: Sequence[Window], begin: Mapping[int, int]) -> Int:
    """Where some windows lie in their runs, which begin there, [B, L]."""
    return np.stack([begin[w.timeline] + w.rows for w in windows])
