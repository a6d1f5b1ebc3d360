"""What lies between the brain heads and the voxels: nothing, or the scanner's grid with convolutions in space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet.model.presets.layers import started

CHANNELS = (2, 8, 16, 1)
"""Channels of the grid: two from the heads, then three convolutions to BOLD."""


class Middle(nn.Module, ABC):
    """Heads end in `units` a person; None means in as many as the person has voxels."""

    units: int | None = None
    notes: tuple[str, ...] = ()
    """What a report must say of it."""

    @abstractmethod
    def outward(self, u: Tensor) -> Tensor:
        """What the heads give, [n, units] -> BOLD [n, V]."""

    @abstractmethod
    def inward(self, y: Tensor) -> Tensor:
        """BOLD [n, V] -> what the inverse heads read, [n, units]."""


class Voxels(Middle):
    """Brain space is the voxels themselves."""

    def outward(self, u: Tensor) -> Tensor:
        """The same, [n, V]."""
        return u

    def inward(self, y: Tensor) -> Tensor:
        """The same, [n, V]."""
        return y


class Grid(Middle):
    """The scanner's grid under convolutions in space, and the voxels of `mask` [X, Y, Z] in it.

    With a `step` above 1 the heads and convolutions see a grid of so many times fewer cells each way; between its
    cells BOLD is interpolated.
    """

    units: int

    def __init__(self, mask: NDArray[np.bool_], step: int = 1) -> None:
        super().__init__()
        self.shape = tuple(mask.shape)
        self.cells = tuple(-(-n // step) for n in mask.shape)
        self.units = CHANNELS[0] * int(np.prod(self.cells))
        self.register_buffer("places", torch.as_tensor(np.flatnonzero(mask)), persistent=False)
        self.out = _convolutions(CHANNELS)
        self.into = _convolutions(CHANNELS[::-1])

    def outward(self, u: Tensor) -> Tensor:
        """[n, 2 * cells] -> [n, V]."""
        x = self.out(u.unflatten(1, (CHANNELS[0], *self.cells)))
        if self.cells != self.shape:
            x = F.interpolate(x, size=self.shape, mode="trilinear")
        return x.flatten(1)[:, self.get_buffer("places")]

    def inward(self, y: Tensor) -> Tensor:
        """[n, V] -> [n, 2 * cells]; outside of the mask there is nothing."""
        x = y.new_zeros(len(y), int(np.prod(self.shape)))
        x = x.index_copy(1, self.get_buffer("places"), y).unflatten(1, (1, *self.shape))
        if self.cells != self.shape:
            x = F.adaptive_avg_pool3d(x, self.cells)
        return self.into(x).flatten(1)


def _convolutions(channels: tuple[int, ...]) -> nn.Sequential:
    """3x3x3 convolutions with a GELU between them."""
    steps: list[nn.Module] = []
    for a, b in pairwise(channels):
        bends = len(steps) < 2 * (len(channels) - 2)
        steps += [started(nn.Conv3d(a, b, 3, padding=1), bends=bends), nn.GELU()]
    return nn.Sequential(*steps[:-1])
