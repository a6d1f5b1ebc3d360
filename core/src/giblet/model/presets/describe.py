"""The layers of a preset and how many parameters each has, counted without making them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.autoencoder import Autoencoder
from giblet.model.compressor import build_compressor
from giblet.model.presets import PRESETS, Grid, Middle, Picture, Voxels

Row = tuple[str, str, int]
"""Layer, its shape, its parameters."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a preset is described for; by default one person of Sherlock (Chen et al. 2017, doi:10.1038/nn.4450).

    61 x 73 x 61 cells of 3 mm, 83,300 of them brain; a picture of 160 x 90 and 40 numbers of sound a TR.
    """

    pictures: Mapping[str, Picture] = field(default_factory=lambda: {"picture": (90, 160, 3)})
    vectors: Mapping[str, int] = field(default_factory=lambda: {"vector": 40})
    grid: Picture = (61, 73, 61)
    voxels: int = 83_300
    volumes: int = 22_000
    tr_s: float = 1.5


def describe(preset: str, sizes: Sizes | None = None, config: ModelConfig | None = None) -> list[Row]:
    """Every layer with parameters, in the order of the way through it: film to brain, then brain to film."""
    model = build_meta(preset, sizes or Sizes(), config or ModelConfig(preset=preset))
    owners = [(name, m) for name, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    return [(name, _shape(m), sum(p.numel() for p in m.parameters(recurse=False))) for name, m in owners]


def build_meta(preset: str, sizes: Sizes, config: ModelConfig) -> Autoencoder:
    """The model without any numbers in it, on torch's meta device; its brain heads are plain linear maps."""
    pictures = dict(sizes.pictures)
    read = {n: int(np.prod(shape)) for n, shape in pictures.items()} | dict(sizes.vectors)
    inputs = read if PRESETS[preset].reads == "features" else dict.fromkeys(read, config.input_components)
    outputs = read if PRESETS[preset].reads == "features" else _codes(sizes, config)
    with torch.device("meta"):
        middle = _middle(preset, sizes, config)
        units = middle.units or sizes.voxels

        def outward(subject: str, width: int) -> nn.Module:
            return nn.Linear(width, units)

        def inward(subject: str, width: int) -> nn.Module:
            return nn.Linear(units, width)

        return Autoencoder(
            config, sizes.tr_s, inputs, outputs, ["one"], outward, inward, pictures=pictures, middle=middle
        )


CODE = 256
"""The width of a modality's code unless its plugin says otherwise (`Modality.width`)."""


def _codes(sizes: Sizes, config: ModelConfig) -> dict[str, int]:
    """What `compact` gives back at most: code and summary of each modality, or features that are their own code."""
    most = CODE + config.summary_components
    return dict.fromkeys(sizes.pictures, most) | {n: max(most, size) for n, size in sizes.vectors.items()}


def _middle(preset: str, sizes: Sizes, config: ModelConfig) -> Middle:
    if PRESETS[preset].middle == "grid":
        mask = np.zeros(sizes.grid, bool)
        mask.flat[: sizes.voxels] = True
        return Grid(mask, config.grid_step)
    if PRESETS[preset].middle == "components":
        return build_compressor(config, sizes.voxels, sizes.volumes)
    return Voxels()


def _shape(module: nn.Module) -> str:
    """`in -> out` of a dense layer or convolution; the shapes of its parameters for anything else."""
    if isinstance(module, nn.Linear):
        return f"{module.in_features:,} -> {module.out_features:,}"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d):
        kernel = "x".join(map(str, module.kernel_size))
        return f"{module.in_channels} -> {module.out_channels}, {kernel}, stride {module.stride[0]}"
    own: list[Tensor] = list(module.parameters(recurse=False))
    return ", ".join(" x ".join(f"{n:,}" for n in p.shape) for p in own)
