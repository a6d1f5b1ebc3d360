"""Before stage (b), in two-stage only: an autoencoder of single volumes, whose code the trunk will predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.scratch import on_scratch, row_slabs
from giblet.data.split import Label
from giblet.model import Host, Learned, placed
from giblet.training.batch import CompressorBatch
from giblet.training.share import WHOLE, Share


def training_volumes(timelines: Sequence[Timeline], label: Label = "train") -> NDArray[np.float32]:
    """Everybody's scanned volumes in blocks of one purpose, one below the other, [n, V]; on the disk."""
    return on_scratch(_volumes(timelines, label))


def _volumes(timelines: Sequence[Timeline], label: Label) -> Iterator[NDArray[np.float32]]:
    for t in timelines:
        for s, y in t.scans.items():
            trs = t.trs(label)
            trs = trs[t.scanned[s][trs]]
            for rows in row_slabs(len(trs), y.shape[1]):
                yield y[trs[rows]]


class CompressorTask:
    """A learned compressor on everybody's training volumes, `train.compressor_batch` a step."""

    name = "compressor"

    def __init__(self, compressor: Learned, timelines: Sequence[Timeline], config: RunConfig) -> None:
        self.module, self.config = compressor, config
        self.volumes = training_volumes(timelines)
        self.held = training_volumes(timelines, "validation")

    @property
    def networks(self) -> list[nn.Module]:
        """All that a step passes through."""
        return [self.module]

    @property
    def units(self) -> list[nn.Module]:
        """Nothing: its layers are not called one by one."""
        return []

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, lightly decayed."""
        return [{"params": list(self.module.parameters()), "weight_decay": self.config.train.front_end_decay}]

    def read(self, step: int, share: Share = WHOLE) -> CompressorBatch:
        """Volumes drawn at random; a share of them."""
        rng = np.random.default_rng([self.config.seed, step, 3])
        drawn = rng.integers(len(self.volumes), size=self.config.train.compressor_batch)
        rows = share.rows(len(drawn))
        return CompressorBatch(self.volumes[drawn[rows.mine]], rows.weight * len(rows.mine) / rows.whole)

    def loss(self, batch: CompressorBatch) -> Tensor:
        """Squared error of a batch; 1 is what a constant scores where voxels have unit variance."""
        return batch.weight * self._error(batch.volumes)

    def validate(self, share: Share = WHOLE) -> float:
        """Squared error of the validation volumes."""
        parts = [self.held[rows] for rows in row_slabs(*self.held.shape)]
        return sum(float(self._error(part)) * len(part) for part in parts) / len(self.held) / share.count

    def _error(self, volumes: Host) -> Tensor:
        y = placed(volumes, self.module)
        return (self.module.decode(self.module.encode(y)) - y).square().mean()
