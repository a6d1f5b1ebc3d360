"""What a step of the decoders reads: windows of scans, and a few TRs that are made in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from giblet.data.dataset import Timeline, Window
from giblet.model import residual_places
from giblet.training.share import Share
from giblet.types import Int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a window reads: a person's scan as it was measured, or as it is predicted with residuals from one on."""

    window: Window
    subject: str
    residual: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The windows of a step, a share's own of them, and window and row [n, 2] of each TR that is made in full."""

    windows: Sequence[Window]
    mine: Int
    picks: Int
    share: Share

    @property
    def own(self) -> list[Window]:
        """The windows that are computed here."""
        return [self.windows[i] for i in self.mine]

    @property
    def made(self) -> Int:
        """Which of the TRs that are made in full are made here."""
        return np.flatnonzero(np.isin(self.picks[:, 0], self.mine))


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
