"""What is put in the place of a lesioned part of the brain, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

How = Literal["resample", "zero", "mean"]
Matrix = NDArray[np.float32]


class Units(Protocol):
    """What can be lesioned: voxels, or the components of a compressor."""

    @property
    def count(self) -> int:
        """U, how many there are."""

    def read(self, y: Tensor) -> Tensor:
        """The units of a scan, [T, V] -> [T, U]."""

    def write(self, y: Tensor, units: Tensor) -> Tensor:
        """The scan [T, V] with other units [L, T, U]: [L, T, V]."""


@dataclass(frozen=True, slots=True)
class Voxels:
    """Each voxel is a unit."""

    count: int

    def read(self, y: Tensor) -> Tensor:
        """The scan itself."""
        return y

    def write(self, y: Tensor, units: Tensor) -> Tensor:
        """The units themselves."""
        return units


class Code(Protocol):
    """A compressor of brain space, as the model has it."""

    units: int

    def encode(self, y: Tensor) -> Tensor:
        """[.., V] -> [.., U]."""

    def replace(self, y: Tensor, code: Tensor) -> Tensor:
        """BOLD with another code; what the compressor does not see stays."""


@dataclass(frozen=True, slots=True)
class Components:
    """Each component of a compressed brain space is a unit."""

    code: Code

    @property
    def count(self) -> int:
        """How many components the compressor has."""
        return self.code.units

    def read(self, y: Tensor) -> Tensor:
        """The code of a scan."""
        return self.code.encode(y)

    def write(self, y: Tensor, units: Tensor) -> Tensor:
        """The scan with other components; what no component explains stays."""
        return self.code.replace(y.expand(len(units), *y.shape), units)


@dataclass(frozen=True, slots=True)
class Ablation:
    """How a lesion is made: values of another moment of the same block (`resample`), 0, or the block's `mean`.

    Moments are those that were measured.

    `strength` mixes: 0 leaves everything, 1 replaces it, and what lies between leaves a share. Resampling keeps each
    voxel's distribution, which zeros do not; `draw` numbers the moments, each person having moments of their own.
    """

    how: How = "resample"
    strength: float = 1.0
    seed: int = 0

    def instead(self, units: Tensor, valid: Tensor, draw: int, person: int) -> Tensor:
        """What stands in the place of ablated units [T, U], made of the `valid` TRs [T]; others are 0."""
        measured, out = units[valid], torch.zeros_like(units)
        if self.how == "mean":
            out[valid] = measured.mean(0)
        elif self.how == "resample":
            out[valid] = torch.roll(measured, self.shift(len(measured), draw, person), 0)
        elif self.how != "zero":
            assert_never(self.how)
        return out

    def shift(self, trs: int, draw: int, person: int) -> int:
        """By how many TRs the `trs` of a person's block are turned: between a quarter and three quarters of it."""
        least = trs // 4
        rng = np.random.default_rng([self.seed, draw, person, trs])
        return int(rng.integers(least, max(3 * trs // 4, least + 1)))

    def apply(self, units: Tensor, valid: Tensor, lesions: Tensor, draw: int, person: int) -> Tensor:
        """Units [T, U], of which `valid` TRs [T] were measured, under each of the lesions [L, U] (bool): [L, T, U]."""
        ablated = units + self.strength * (self.instead(units, valid, draw, person) - units)
        return torch.where(lesions.unsqueeze(1), ablated, units)
