"""What a preset is: the widths of its layers and what they read, as a frozen definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from giblet.config import ModelConfig

Picture = tuple[int, int, int]
"""Rows, columns and channels of a picture-shaped feature; every other feature is a vector."""
LEAST_WIDTH = 2


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the trunk reads of each modality: `sizes` [P] by name, and the shape of those that are pictures."""

    sizes: Mapping[str, int]
    pictures: Mapping[str, Picture]

    def only(self, names: Sequence[str]) -> Inputs:
        """Some of the modalities."""
        return Inputs({n: self.sizes[n] for n in names}, {n: p for n, p in self.pictures.items() if n in names})


@dataclass(frozen=True, slots=True)
class Preset:
    """Layers at their published widths.

    Each picture goes through convolutions of `channels` (3x3, stride 2) and a dense layer of `picture` units, each
    vector through a dense layer of `vector` units; without these both are read as they are. All of them side by side
    go through dense layers of `widths`, the last of which is the latent. `middle` lies between the brain heads and the
    voxels. The way back is the mirror image. `reads` says what the trunk sees of a TR: the leading components of
    trained codes, or the features themselves, averaged over the TR.
    """

    name: str
    purpose: str
    reads: Literal["components", "features"] = "features"
    widths: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    picture: int | None = None
    vector: int | None = None
    middle: Literal["voxels", "grid", "components"] = "voxels"

    def scaled(self, config: ModelConfig) -> tuple[int, ...]:
        """The widths of the dense layers behind the modalities, at the scale asked for."""
        return tuple(at_scale(w, config) for w in self.widths)

    def configured(self, config: ModelConfig) -> ModelConfig:
        """The settings with the preset's own latent; one kernel a unit, because the layers name one head a unit."""
        return config.model_copy(update={"latent": self.scaled(config)[-1], "basis": 1}) if self.widths else config


def at_scale(width: int, config: ModelConfig) -> int:
    """A published width at `model.scale`."""
    return max(LEAST_WIDTH, round(width * config.scale))
