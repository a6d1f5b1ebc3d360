"""At which rate a modality's features come, kept with the model: to make features where there is no file to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, TRGrid


@dataclass(frozen=True)
class Clock:
    """The median step between samples in ticks of `timebase` seconds, and what else the features said of themselves."""

    timebase: Fraction
    step: int
    attrs: Mapping[str, Any]

    @classmethod
    def of(cls, features: Features) -> Clock:
        """The clock of features; lists with an entry a sample, and arrays, are left out."""
        steps = np.diff(features.ticks)
        plain = {k: v for k, v in features.attrs.items() if not isinstance(v, list | np.ndarray)}
        return cls(features.timebase, max(1, int(np.median(steps))) if len(steps) else 1, plain)

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {"timebase": str(self.timebase), "step": self.step, "attrs": dict(self.attrs)}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Clock:
        """The clock that `facts` described."""
        return cls(Fraction(facts["timebase"]), facts["step"], facts["attrs"])

    def blank(self, modality: Modality, spec: FeatureSpec, grid: TRGrid) -> Aligned:
        """Features of nothing on a grid that begins at 0: frames at this rate, aligned by the modality, or events."""
        n = grid.n_trs if spec.sampling == "events" else ceil(grid.stop_s / (self.step * self.timebase))
        nothing: Array = np.broadcast_to(np.zeros((), spec.dtype), (n, *spec.shape))
        if spec.sampling == "frames":
            return modality.align(Features(nothing, self.step * np.arange(n), self.timebase, attrs=self.attrs), grid)
        ticks = np.array([ceil(k * grid.tr_s / self.timebase) for k in range(n)], np.int64)
        lasts = np.full(n, round(grid.tr_s / self.timebase), np.int64)
        events = Features(nothing, ticks, self.timebase, lasts, self.attrs)
        return Aligned(events, grid, np.arange(n), np.ones(n, np.int64))
