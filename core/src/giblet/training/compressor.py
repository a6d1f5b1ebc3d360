"""Before stage (b), in two-stage only: an autoencoder of single volumes, whose code the trunk will predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Learned


def training_volumes(timelines: Sequence[Timeline], label: Label = "train") -> NDArray[np.float32]:
    """Everybody's scanned volumes in blocks of one purpose, one below the other, [n, V]."""
    parts = []
    for t in timelines:
        trs = t.trs(label)
        parts += [y[trs[t.scanned[s][trs]]] for s, y in t.scans.items()]
    return np.concatenate(parts).astype(np.float32)


class CompressorTask:
    """A learned compressor on everybody's training volumes, `train.compressor_batch` a step."""

    name = "compressor"

    def __init__(self, compressor: Learned, timelines: Sequence[Timeline], config: RunConfig) -> None:
        self.module, self.config = compressor, config
        self.volumes = training_volumes(timelines)
        self.held = training_volumes(timelines, "validation")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, lightly decayed."""
        return [{"params": list(self.module.parameters()), "weight_decay": self.config.train.front_end_decay}]

    def loss(self, step: int) -> Tensor:
        """Squared error of volumes drawn at random; 1 is what a constant scores where voxels have unit variance."""
        rng = np.random.default_rng([self.config.seed, step, 3])
        rows = rng.integers(len(self.volumes), size=self.config.train.compressor_batch)
        return self._error(self.volumes[rows])

    def validate(self) -> float:
        """Squared error of the validation volumes."""
        return float(self._error(self.held))

    def _error(self, volumes: NDArray[np.float32]) -> Tensor:
        y = torch.from_numpy(volumes)
        return (self.module.decode(self.module.encode(y)) - y).square().mean()
