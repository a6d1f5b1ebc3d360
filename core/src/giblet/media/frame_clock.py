"""Presentation times of frames, as strictly rising ticks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from giblet.errors import DataError

GAP_BACK_S = 1
"""A frame this much before the one before it begins another run of times, which cannot be put right."""


@dataclass(slots=True)
class FrameClock:
    """Ticks of `timebase` seconds; frames without a time follow at `rate_hz`.

    `nudged` counts frames that were not later than the one before them, `untimed` those that had no time, `steps` how
    often each distance between timed frames came, in ticks.
    """

    timebase: Fraction
    rate_hz: Fraction
    path: Path
    nudged: int = field(default=0, init=False)
    untimed: int = field(default=0, init=False)
    last: int | None = field(default=None, init=False)
    steps: Counter[int] = field(default_factory=Counter, init=False)

    def tick(self, pts: int | None) -> int:
        """When the next frame is shown.

        Raises
        ------
        DataError
            If time goes back by more than a second.
        """
        if pts is None:
            self.untimed += 1
            step = max(1, round(1 / (self.rate_hz * self.timebase)))
            pts = 0 if self.last is None else self.last + step
        elif self.last is not None and pts <= self.last:
            self._refuse_gap(pts, self.last)
            self.nudged += 1
            pts = self.last + 1
        elif self.last is not None:
            self.steps[pts - self.last] += 1
        self.last = pts
        return pts

    @property
    def holes_s(self) -> Fraction:
        """How long there was no new picture: what steps are longer than the median, where that is by half or more."""
        usual = self._usual_step()
        lost = sum((step - usual) * n for step, n in self.steps.items() if 2 * step >= 3 * usual)
        return lost * self.timebase

    def _usual_step(self) -> int:
        """The median step."""
        seen, half = 0, self.steps.total() / 2
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= half:
                return step
        return 1

    def _refuse_gap(self, pts: int, last: int) -> None:
        if (last - pts) * self.timebase > GAP_BACK_S:
            at = float(last * self.timebase)
            raise DataError(f"{self.path}: frame times go back after {at:.3f} s; remux the film into one run")
