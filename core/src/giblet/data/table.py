"""Ready-made features, any `[time, P]` table: motion energy, ratings, embeddings, nuisance; encoding only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from giblet.errors import DataError
from giblet.hookspecs import hookimpl
from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, seconds

if TYPE_CHECKING:
    from torch import nn

CHUNK_BYTES = 64 << 20


class FeatureTable(Modality):
    """A table with a regular clock, its columns standing as they are: row n is presented at `start_s + n * tr_s`.

    Subtitles and TextGrids are read as their word rate: words that begin in each row, a second.

    `hemodynamics="applied"` says that the columns already carry an HRF. A row that is missing throughout (NaN, n/a) is
    left out, so that its TR is masked.
    """

    name: ClassVar[str] = "features_table"
    kind: ClassVar[str] = "features"

    tr_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Seconds between rows."""
    start_s: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Stimulus time of row 0."""
    label: str = "features"
    """The name that figures and files give it."""
    hemodynamics: Literal["none", "applied"] = "none"
    """Whether the columns already carry an HRF: then they bypass the model's kernel, and ridges give them no lags."""

    def extract(self, source: Source) -> Iterator[Features]:
        """The rows between `source.start_s` and `source.stop_s`, [N, P] float32.

        Raises
        ------
        DataError
            If the file is no table of numbers, a row is missing in part, or the cut leaves nothing.
        """
        from giblet.media.spoken import read_rows

        table = read_rows(source.path, seconds(self.tr_s), seconds(self.start_s))
        ticks, timebase = self._clock(len(table))
        missing = np.isnan(table)
        _refuse_holes(missing, source)
        keep = ~missing.all(1)
        if source.start_s is not None:
            keep &= ticks >= ceil(source.start_s / timebase)
        if source.stop_s is not None:
            keep &= ticks < ceil(source.stop_s / timebase)
        if not keep.any():
            raise DataError(f"{source.path} has no row of features within the part of the stimulus that is asked for")
        values, ticks = table[keep].astype(np.float32), ticks[keep]
        rows = max(1, CHUNK_BYTES // (4 * values.shape[1]))
        for at in range(0, len(values), rows):
            yield Features(values[at : at + rows], ticks[at : at + rows], timebase, attrs={"label": self.label})

    def _clock(self, n: int) -> tuple[Array, Fraction]:
        """Exact times of n rows: integer ticks [n] and their timebase."""
        step, start = seconds(self.tr_s), seconds(self.start_s)
        timebase = Fraction(1, np.lcm(step.denominator, start.denominator).item())
        return int(start / timebase) + int(step / timebase) * np.arange(n, dtype=np.int64), timebase

    def spec(self, aligned: Aligned) -> FeatureSpec:
        """P columns, and whether they carry an HRF already."""
        return replace(super().spec(aligned), hemodynamics=self.hemodynamics)

    def width(self, spec: FeatureSpec) -> int:
        """P: the columns are their own code."""
        return spec.size

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The mean over the rows of a TR, [n, F, P] -> [n, P]: nothing to train."""
        from giblet.nn.heads import MaskedFlatten

        return MaskedFlatten()

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The code in every row of the TR, [n, P] -> [n, F, P]."""
        from giblet.nn.heads import UnflattenFrame

        return UnflattenFrame(spec)

    def summary(self, aligned: Aligned) -> Array:
        """The mean over the rows of each TR, [T, P]; zero where there is none."""
        values, mask = aligned.rows(slice(None))
        total = np.where(mask[..., None], values, 0).sum(1, dtype=np.float64)
        return (total / np.maximum(mask.sum(1), 1)[:, None]).astype(np.float32)


def _refuse_holes(missing: Array, source: Source) -> None:
    """A row is there or it is not: half a row would have to be made up."""
    partly = np.flatnonzero(missing.any(1) & ~missing.all(1))
    if len(partly):
        column = int(missing[partly[0]].argmax())
        raise DataError(
            f"{source.path}: row {partly[0]} lacks a value in column {column} (from 0; {len(partly)} such rows): "
            "fill it, drop the column, or leave the whole row empty"
        )


@hookimpl
def register_modalities() -> Iterable[type[Modality]]:
    """The core's own modality."""
    return [FeatureTable]
