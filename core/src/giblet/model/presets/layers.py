"""Modalities side by side through dense layers, and the mirror image that takes a latent back to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.presets.back import Back
from giblet.model.presets.definition import Inputs, Picture, Preset, at_scale
from giblet.nn.dropout import Dropout


def started(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d, *, bends: bool = True) -> nn.Module:
    """A layer that keeps the size of what passes through it and, if it `bends`, through the GELU behind it.

    Random weights of He et al. 2015 (arXiv:1502.01852), no bias. Torch's own start halves a signal or more in each
    layer, and what is left of a scan behind six of them does not teach the first one anything.
    """
    inputs = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        inputs = layer.in_channels * layer.weight[0, 0].numel() // (layer.stride[0] * layer.stride[1])
    nn.init.normal_(layer.weight, std=((2 if bends else 1) / inputs) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def stack(widths: Sequence[int], dropout: float, *, ends: bool = False) -> nn.Sequential:
    """Dense layers between widths, dropout before and GELU behind each; no GELU behind the last one that `ends` it."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        bends = not ends or i + 2 < len(widths)
        layers += [Dropout(dropout), started(nn.Linear(a, b), bends=bends), *([nn.GELU()] if bends else [])]
    return nn.Sequential(*layers)


def sides(picture: Picture, steps: int) -> list[tuple[int, int]]:
    """Rows and columns of a picture before and after each convolution of stride 2."""
    out = [picture[:2]]
    for _ in range(steps):
        out.append(((out[-1][0] + 1) // 2, (out[-1][1] + 1) // 2))
    return out


class Seer(nn.Module):
    """A picture [.., H * W * C] through convolutions of stride 2 and a dense layer, [.., D]."""

    def __init__(self, picture: Picture, channels: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.picture = picture
        steps: list[nn.Module] = []
        for a, b in pairwise((picture[2], *channels)):
            steps += [started(nn.Conv2d(a, b, 3, stride=2, padding=1)), nn.GELU()]
        self.convolutions = nn.Sequential(*steps)
        rows, columns = sides(picture, len(channels))[-1]
        self.dense = stack((rows * columns * channels[-1], width), dropout)

    def forward(self, h: Tensor) -> Tensor:
        """[.., H * W * C] -> [.., D]."""
        pictures = h.unflatten(-1, self.picture).movedim(-1, -3).flatten(0, -4)
        return self.dense(self.convolutions(pictures).flatten(1)).unflatten(0, h.shape[:-1])


class Painter(nn.Module):
    """The mirror of Seer: [.., D] -> [.., H * W * C]."""

    def __init__(self, picture: Picture, channels: Sequence[int], width: int, dropout: float) -> None:
        super().__init__()
        self.sides = sides(picture, len(channels))[::-1]
        self.start = (channels[-1], *self.sides[0])
        self.dense = stack((width, channels[-1] * self.sides[0][0] * self.sides[0][1]), dropout)
        pairs = list(pairwise((*channels[::-1], picture[2])))
        steps = [nn.ConvTranspose2d(a, b, 3, stride=2, padding=1) for a, b in pairs]
        self.steps = nn.ModuleList(started(step, bends=step is not steps[-1]) for step in steps)

    def forward(self, z: Tensor) -> Tensor:
        """[.., D] -> [.., H * W * C]."""
        x = self.dense(z).unflatten(-1, self.start).flatten(0, -4)
        for i, step in enumerate(self.steps):
            x = step(x, output_size=self.sides[i + 1])
            x = nn.functional.gelu(x) if i + 1 < len(self.steps) else x
        return x.movedim(-3, -1).flatten(1).unflatten(0, z.shape[:-1])


class SideBySide(nn.Module):
    """Branches, one beside the other, then dense layers: {name: [B, T, P]}, {name: [B, T]} -> [B, T, D].

    What a missing modality would have given is 0: it takes no part in the layer behind.
    """

    def __init__(self, preset: Preset, inputs: Inputs, config: ModelConfig) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({n: _branch(preset, n, inputs, config) for n in inputs.sizes})
        joined = sum(branch_width(preset, n, inputs, config) for n in inputs.sizes)
        self.dense = stack((joined, *preset.scaled(config)), config.dropout)

    def forward(self, h: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """[B, T, D]."""
        parts = [branch(h[n]) * present[n].unsqueeze(-1) for n, branch in self.branches.items()]
        return self.dense(torch.cat(parts, -1))


class Mirror(Back):
    """SideBySide the other way round, [.., D] -> {name: [.., P]}."""

    def __init__(self, preset: Preset, inputs: Inputs, config: ModelConfig) -> None:
        super().__init__(inputs.sizes)
        self.widths = [branch_width(preset, n, inputs, config) for n in inputs.sizes]
        plain = preset.vector is None
        self.dense = stack((*preset.scaled(config)[::-1], sum(self.widths)), config.dropout / 2, ends=plain)
        self.branches = nn.ModuleDict({n: _mirrored(preset, n, inputs, config) for n in inputs.sizes})

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """{name: [.., P]}."""
        parts = self.dense(z).split(self.widths, -1)
        return {n: branch(part) for (n, branch), part in zip(self.branches.items(), parts, strict=True)}


def branch_width(preset: Preset, name: str, inputs: Inputs, config: ModelConfig) -> int:
    """How many units a modality brings to where all are joined."""
    units = preset.picture if name in inputs.pictures else preset.vector
    return inputs.sizes[name] if units is None else at_scale(units, config)


def _branch(preset: Preset, name: str, inputs: Inputs, config: ModelConfig) -> nn.Module:
    width, size = branch_width(preset, name, inputs, config), inputs.sizes[name]
    if preset.vector is None:
        return nn.Identity()
    if name in inputs.pictures:
        return Seer(inputs.pictures[name], _channels(preset, config), width, config.dropout)
    return stack((size, width), config.dropout)


def _mirrored(preset: Preset, name: str, inputs: Inputs, config: ModelConfig) -> nn.Module:
    width, size = branch_width(preset, name, inputs, config), inputs.sizes[name]
    if preset.vector is None:
        return nn.Identity()
    if name in inputs.pictures:
        return Painter(inputs.pictures[name], _channels(preset, config), width, config.dropout / 2)
    return stack((width, size), config.dropout / 2, ends=True)


def _channels(preset: Preset, config: ModelConfig) -> list[int]:
    return [at_scale(c, config) for c in preset.channels]
