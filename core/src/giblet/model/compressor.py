"""Brain space in components that are found before anything is predicted: what `two-stage` works in."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.presets.middle import Middle


class Compressor(Middle):
    """BOLD [.., V] to a code [.., N] with a mean square of 1 over training volumes, and linearly back."""

    units: int

    def __init__(self, config: ModelConfig, voxels: int, volumes: int) -> None:
        super().__init__()
        self.units = min(config.components, voxels, volumes)
        if self.units < config.components:
            few = "voxels" if self.units == voxels else "training volumes"
            self.notes = (
                f"two-stage has {self.units} components instead of {config.components}: there are no more {few}",
            )
        self.register_buffer("size", torch.ones(()))

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """What one unit of each component adds to each voxel, [N, V]."""

    @abstractmethod
    def encode(self, y: Tensor) -> Tensor:
        """[.., V] -> [.., N]."""

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """[.., N] -> [.., V]."""

    def replace(self, y: Tensor, code: Tensor) -> Tensor:
        """BOLD [.., V] with another code [.., N]; what no component explains of it stays as it was.

        A lesion of component n is the code `encode(y)` without its column n.
        """
        return y + (code - self.encode(y)) @ self.weights

    def outward(self, u: Tensor) -> Tensor:
        """The code as BOLD, [n, N] -> [n, V]."""
        return self.decode(u)

    def inward(self, y: Tensor) -> Tensor:
        """The code of BOLD, [n, V] -> [n, N]."""
        return self.encode(y)


class Components(Compressor):
    """Principal components of everybody's training volumes, the largest first."""

    def __init__(self, config: ModelConfig, voxels: int, volumes: int) -> None:
        super().__init__(config, voxels, volumes)
        self.register_buffer("centre", torch.zeros(voxels))
        self.register_buffer("basis", torch.zeros(self.units, voxels))

    def fit(self, volumes: NDArray[np.float32], seed: int) -> None:
        """Find the components of training volumes [n, V] (scikit-learn's PCA; randomised where N is far below n, V).

        They are overwritten: PCA centres them in place.
        """
        from sklearn.decomposition import PCA

        found = PCA(self.units, random_state=seed, copy=False).fit(volumes)
        size = np.sqrt(np.mean(found.explained_variance_))
        for name, value in (("centre", found.mean_), ("basis", found.components_), ("size", size)):
            self.get_buffer(name).copy_(torch.as_tensor(np.asarray(value, np.float32)))

    @property
    def weights(self) -> Tensor:
        """[N, V], orthogonal rows of one length."""
        return self.get_buffer("basis") * self.get_buffer("size")

    def encode(self, y: Tensor) -> Tensor:
        """[.., V] -> [.., N]."""
        return (y - self.get_buffer("centre")) @ self.get_buffer("basis").T / self.get_buffer("size")

    def decode(self, code: Tensor) -> Tensor:
        """[.., N] -> [.., V]."""
        return code * self.get_buffer("size") @ self.get_buffer("basis") + self.get_buffer("centre")


class Learned(Compressor):
    """An autoencoder of BOLD, V -> N -> V, its code linear or behind a GELU; it is trained alone and then frozen."""

    def __init__(self, config: ModelConfig, voxels: int, volumes: int) -> None:
        super().__init__(config, voxels, volumes)
        bend = nn.GELU() if config.compressor == "nonlinear" else nn.Identity()
        self.into = nn.Sequential(nn.Linear(voxels, self.units), bend)
        self.out = nn.Linear(self.units, voxels)

    def freeze(self, volumes: Tensor) -> None:
        """Train it no more, and scale its code to a mean square of 1 over training volumes [n, V]."""
        self.requires_grad_(requires_grad=False).eval()
        self.get_buffer("size").fill_(float(self.into(volumes).square().mean().sqrt()))

    @property
    def weights(self) -> Tensor:
        """[N, V]."""
        return self.out.weight.T * self.get_buffer("size")

    def encode(self, y: Tensor) -> Tensor:
        """[.., V] -> [.., N]."""
        return self.into(y) / self.get_buffer("size")

    def decode(self, code: Tensor) -> Tensor:
        """[.., N] -> [.., V]."""
        return self.out(code * self.get_buffer("size"))


def build_compressor(config: ModelConfig, voxels: int, volumes: int) -> Compressor:
    """The compressor that the settings name, not fitted yet; `volumes` are the training volumes that there are."""
    return (Components if config.compressor == "pca" else Learned)(config, voxels, volumes)
