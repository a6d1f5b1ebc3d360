"""`compact`: a small adapter a modality, their sum, and a small net a modality on the way back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.presets.back import Back
from giblet.model.presets.definition import Preset
from giblet.nn.dropout import Dropout

COMPACT = Preset("compact", "the default: few parameters for the few hours of scans that people have", "components")


class Adapter(nn.Module):
    """A modality's code into the latent: a linear path and a small nonlinear one beside it, [.., P] -> [.., D]."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        self.drop = Dropout(config.dropout)
        self.linear = nn.Linear(inputs, config.latent)
        self.bend = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.hidden, config.latent),
        )

    def forward(self, h: Tensor) -> Tensor:
        """[.., P] -> [.., D]."""
        h = self.drop(h)
        return self.linear(h) + self.bend(h)


class Sum(nn.Module):
    """The sum over the modalities that are there: {name: [B, T, P]}, {name: [B, T]} -> [B, T, D].

    A sum, not a mean over those that are left: what one modality says must not grow when another is missing.
    """

    def __init__(self, sizes: Mapping[str, int], config: ModelConfig) -> None:
        super().__init__()
        self.adapters = nn.ModuleDict({n: Adapter(p, config) for n, p in sizes.items()})

    def forward(self, h: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """[B, T, D]."""
        parts = torch.stack([net(h[n]) * present[n].unsqueeze(-1) for n, net in self.adapters.items()])
        return parts.sum(0) / len(self.adapters)


class Apart(Back):
    """Each modality's code from the latent by a net of its own, [.., D] -> {name: [.., W]}."""

    def __init__(self, widths: Mapping[str, int], config: ModelConfig) -> None:
        super().__init__(widths)
        self.nets = nn.ModuleDict({n: _output(w, config) for n, w in widths.items()})

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """{name: [.., W]}."""
        return {n: net(z) for n, net in self.nets.items()}


def _output(width: int, config: ModelConfig) -> nn.Module:
    return nn.Sequential(
        Dropout(config.dropout / 2),
        nn.Linear(config.latent, config.hidden),
        nn.GELU(),
        nn.Linear(config.hidden, width),
    )
