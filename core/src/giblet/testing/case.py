"""What the checks look at: one modality, a recording, and what the modality makes of it."""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from giblet.modality import Modality
from giblet.plugins import checked_chunks
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, TRGrid, seconds

if TYPE_CHECKING:
    from torch import Tensor, nn

GRID = TRGrid(seconds("1.5"), 4)
NET_WIDTH = 16
"""Size of the code in the checks, where the modality leaves it open: small nets are quick."""


class Case:
    """One modality with its recording; what is costly is done once and handed out as copies, so that no check harms
    another.
    """

    def __init__(
        self, modality: Modality, make_source: Callable[[], Source] | None = None, grid: TRGrid = GRID
    ) -> None:
        self.modality, self.grid = modality, grid
        self._make_source = make_source or self._example

    def _example(self) -> Source:
        return self._example_source

    @cached_property
    def _example_source(self) -> Source:
        folder = tempfile.mkdtemp(prefix="giblet-example-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return self.modality.example(Path(folder))

    @property
    def seconds_of_example(self) -> int | None:
        """How long the recording lasts, where giblet itself wrote it and its clock is no setting."""
        from giblet.media.examples import SECONDS, TIMED

        ours = self._make_source == self._example and type(self.modality).example is Modality.example
        return SECONDS if ours and self.modality.kind in TIMED else None

    def make_source(self) -> Source:
        """The recording: the author's, or the modality's own example."""
        return self._make_source()

    @cached_property
    def fitted(self) -> Modality:
        """The modality after `fit`, as a run uses it; what is fitted is a copy, so that no `fit` harms it."""
        return copy.deepcopy(self.modality).fit([self.make_source()], [[slice(0, self.grid.n_trs)]])

    def extract(self, source: Source | None = None) -> Features:
        """What the fitted modality extracts, all chunks."""
        return Features.concat(checked_chunks(self.fitted, source or self.make_source()))

    @cached_property
    def chunks(self) -> list[Features]:
        """What `extract` yields for the recording, one by one."""
        return list(checked_chunks(self.fitted, self.make_source()))

    @cached_property
    def _extracted(self) -> Features:
        return Features.concat(self.chunks)

    @property
    def features(self) -> Features:
        """What `extract` gives for the recording: a copy."""
        return copied(self._extracted)

    @property
    def aligned(self) -> Aligned:
        """The features on the grid."""
        return self.fitted.align(self.features, self.grid)

    @property
    def spec(self) -> FeatureSpec:
        """One TR of them."""
        return self.fitted.spec(self.aligned)

    def build(self, seed: int = 0) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder, the same for the same seed."""
        import torch

        torch.manual_seed(seed)
        return self.fitted.encode(self.spec, self.width), self.fitted.decode(self.spec, self.width)

    @property
    def width(self) -> int:
        """The size of the code: the modality's own, or a small one where it leaves that open."""
        return self.fitted.width(self.spec) if type(self.fitted).width is not Modality.width else NET_WIDTH

    def batch(self) -> tuple[Tensor, Tensor]:
        """All TRs of the grid as the nets get them: x [T, F, *S] and the mask [T, F] of frames that are there."""
        import torch

        x, mask = self.aligned.rows(slice(None), self.spec.frames)
        return torch.from_numpy(x), torch.from_numpy(mask)


def copied(features: Features) -> Features:
    """Features whose arrays and attributes are their own."""
    durations = None if features.durations is None else features.durations.copy()
    return Features(
        features.values.copy(),
        features.ticks.copy(),
        features.timebase,
        durations,
        copy.deepcopy(dict(features.attrs)),
    )


def kept(features: Features, keep: Array) -> Features:
    """The samples that a mask [N] keeps, with their times and what `attrs` lists for each."""
    n = len(features.values)
    index = np.flatnonzero(keep)

    def of(value: Any) -> Any:
        return [value[i] for i in index] if isinstance(value, list) and len(value) == n else value

    durations = None if features.durations is None else features.durations[keep]
    return replace(
        features,
        values=features.values[keep],
        ticks=features.ticks[keep],
        durations=durations,
        attrs={k: of(v) for k, v in features.attrs.items()},
    )
