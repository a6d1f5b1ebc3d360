"""Loudness of each frame beside its codes: a part of the code of a TR, and a bell over the classes of its book."""

from __future__ import annotations

from collections.abc import Callable

import torch
from giblet.types import FeatureSpec
from torch import Tensor, nn

from giblet_audio_encodec.loudness import RANGE_DB, UNIT_DB

CENTRE_DB, SCALE_DB = -30.0, 10.0
"""Speech and music lie between -50 and -10 dB, so that the nets see -2 to 2."""
DOUBT_GAIN = 10.0
"""Of the logarithm of how wide the bell is, 1 dB at first, so that steps of one size for all weights widen it."""
Split = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Features [n, F, *] to what they are without loudness, and loudness in dB [n, F]."""


def level_width(width: int) -> int:
    """How many places of a code [D] are for loudness: 48 of 256, waves up to 16 Hz in a TR of 1.5 s."""
    return 3 * width // 16


def slow_waves(frames: int, n: int) -> Tensor:
    """The n slowest cosines over the frames of a TR, orthonormal, [n, F]; rows beyond F are zero."""
    place, order = torch.arange(frames) + 0.5, torch.arange(min(n, frames))[:, None]
    waves = torch.cos(torch.pi * order * place / frames)
    return nn.functional.pad(waves / waves.norm(dim=1, keepdim=True), (0, 0, 0, n - len(waves)))


def split_codes(x: Tensor, step_db: float) -> tuple[Tensor, Tensor]:
    """Codes [n, F, 1 + C] to the last C, and what the first says."""
    return x[..., 1:], x[..., 0] * step_db - RANGE_DB


def split_latents(x: Tensor) -> tuple[Tensor, Tensor]:
    """Latents [n, F, D' + 1] to the first D', and what the last says."""
    return x[..., :-1], x[..., -1] * UNIT_DB


class LevelEncoder(nn.Module):
    """Features [n, F, *], [n, F] -> [n, D]: the code of what is not loudness, then waves of loudness."""

    def __init__(self, content: nn.Module, split: Split, spec: FeatureSpec, width: int) -> None:
        super().__init__()
        self.content, self.split = content, split
        self.waves = nn.Linear(spec.frames, level_width(width), bias=False)
        with torch.no_grad():
            self.waves.weight.copy_(slow_waves(spec.frames, level_width(width)))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, *], [n, F] -> [n, D]."""
        rest, level_db = self.split(x)
        seen = (level_db - CENTRE_DB) / SCALE_DB * mask.to(level_db.dtype)
        return torch.cat([self.content(rest, mask), self.waves(seen)], -1)


class LevelDecoder(nn.Module):
    """[n, D] -> loudness [n, F] in dB: the waves, and what training adds."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.waves = nn.Linear(width, frames)
        with torch.no_grad():
            self.waves.weight.zero_()
            self.waves.weight[:, width - level_width(width) :] = slow_waves(frames, level_width(width)).T
            self.waves.bias.zero_()

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F]."""
        return self.waves(h) * SCALE_DB + CENTRE_DB


class LevelledCodes(nn.Module):
    """[n, D] -> logits [n, F, 1 + C, K]: those of loudness, a bell about its mean, before those of the codes.

    The bell is Cauchy's, of a width that is learned: what a scan leaves open is far off, and its tails are wide.
    """

    def __init__(self, codes: nn.Module, spec: FeatureSpec, width: int, classes: int) -> None:
        super().__init__()
        self.codes, self.level = codes, LevelDecoder(spec.frames, width)
        self.doubt = nn.Parameter(torch.zeros(1))
        self.grid_db = nn.Buffer(torch.arange(classes) * (RANGE_DB / classes) - RANGE_DB, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, 1 + C, K]."""
        off = (self.grid_db - self.level(h).unsqueeze(-1)) / (DOUBT_GAIN * self.doubt).exp()
        return torch.cat([-off.square().log1p().unsqueeze(2), self.codes(h)], 2)


class LevelledLatents(nn.Module):
    """[n, D] -> latents [n, F, D' + 1]: loudness, in units of 20 dB, behind the others."""

    def __init__(self, latents: nn.Module, spec: FeatureSpec, width: int) -> None:
        super().__init__()
        self.latents, self.level = latents, LevelDecoder(spec.frames, width)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, D' + 1]."""
        content = h[..., : h.shape[-1] - level_width(h.shape[-1])]
        return torch.cat([self.latents(content), self.level(h).unsqueeze(-1) / UNIT_DB], -1)
