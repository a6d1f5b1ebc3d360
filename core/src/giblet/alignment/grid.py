"""Which TR a presentation time falls in, in integers: no drift, however long the film."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from giblet.types import Features, Int, TRGrid


def tr_index(ticks: Int, timebase: Fraction, grid: TRGrid) -> Int:
    """The TR that each presentation time falls in, [N]; below 0 or at least n_trs where it is outside the grid.

    Both clocks are brought to one common tick, so that `floor` is an integer division.
    """
    common = lcm(timebase.denominator, grid.tr_s.denominator, grid.start_s.denominator)
    scale, start, tr = (int(q * common) for q in (timebase, grid.start_s, grid.tr_s))
    largest = max(int(np.abs(ticks).max(initial=0)) * scale + abs(start), scale, tr)
    exact = ticks.astype(object) if largest > np.iinfo(np.int64).max else ticks
    return np.asarray((exact * scale - start) // tr, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many TRs stimulus and scan share, and what was cut from each, in seconds."""

    n_trs: int
    cut_scan_s: float
    cut_stimulus_s: float


def overlap(stimulus_stop_s: Fraction, n_volumes: int, tr_s: Fraction, offset_s: Fraction) -> Overlap:
    """The TRs for which there is both stimulus and scan: the scan's volume 0 begins at `offset_s` of stimulus time."""
    available = stimulus_stop_s - offset_s
    covered = max(0, -((-available) // tr_s))  # a last TR that the film reaches only partly still counts
    n_trs = int(min(n_volumes, covered))
    left = float(max(Fraction(0), stimulus_stop_s - (offset_s + n_trs * tr_s)))
    return Overlap(n_trs, float((n_volumes - n_trs) * tr_s), left)


def stop_s(features: Features) -> Fraction:
    """Where a stream ends: the end of its last event, or one median frame interval after its last frame."""
    if len(features.ticks) == 0:
        return Fraction(0)
    if features.durations is not None:
        return int((features.ticks + features.durations).max()) * features.timebase
    step = int(np.median(np.diff(features.ticks))) if len(features.ticks) > 1 else 1
    return (int(features.ticks[-1]) + step) * features.timebase
