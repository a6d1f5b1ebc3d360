"""Nets that keep time inside a TR: smooth patterns of time and pitch, known from the start, and what training adds."""

from __future__ import annotations

from math import ceil

import torch
from giblet.nn import build_temporal
from giblet.types import FeatureSpec, TemporalModule
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (32, 48, 64)
STRIDE = 8
TYPICAL = 0.05
"""Coefficient (i, j) of speech and music, in units of `scale_db`, has an SD near 0.05 / sqrt((1 + i) (1 + j))."""


def cosines(n: int, k: int) -> Tensor:
    """The first k patterns of the orthonormal DCT-II over n places, [k, n]."""
    place, order = torch.arange(n) + 0.5, torch.arange(k)[:, None]
    waves = torch.cos(torch.pi * order * place / n) * (2 / n) ** 0.5
    waves[0] /= 2**0.5
    return waves


def patterns(spec: FeatureSpec, width: int) -> tuple[int, int]:
    """How many patterns over time and over mel bands fit in a code of this width; at 256: 21 and 12."""
    bands = min(spec.size, max(1, round((0.57 * width) ** 0.5)))
    return min(spec.frames, max(1, width // bands)), bands


class Cosine(nn.Module):
    """The two-dimensional DCT of a TR, not trained, scaled so that coefficients of natural sound are of order one."""

    def __init__(self, spec: FeatureSpec, width: int) -> None:
        super().__init__()
        times, bands = patterns(spec, width)
        size = torch.outer(1.0 + torch.arange(times), 1.0 + torch.arange(bands)).sqrt() / TYPICAL
        self.time = nn.Buffer(cosines(spec.frames, times) / spec.frames**0.5, persistent=False)
        self.band = nn.Buffer(cosines(spec.size, bands) / spec.size**0.5, persistent=False)
        self.gain = nn.Buffer(size, persistent=False)


def stem(bands: int) -> nn.Sequential:
    """Three strided convolutions over the frames, [n, M + 1, F] -> [n, 64, F / 8]; the last channel in is the mask."""
    a, b, c = CHANNELS
    return nn.Sequential(
        nn.Conv1d(bands + 1, a, 5, 2, 2), nn.GELU(),
        nn.Conv1d(a, b, 5, 2, 2), nn.GELU(),
        nn.Conv1d(b, c, 5, 2, 2), nn.GELU(),
    )  # fmt: skip


class MelEncoder(Cosine):
    """[n, F, M] dB, [n, F] -> [n, D]: coefficients of the patterns, plus three strided convolutions over time."""

    def __init__(self, spec: FeatureSpec, width: int, centre_db: float, scale_db: float) -> None:
        super().__init__(spec, width)
        self.centre_db, self.scale_db = centre_db, scale_db
        self.conv = stem(spec.size)
        self.mix = nn.Linear(self.gain.numel(), width)
        self.more = nn.Linear(CHANNELS[-1] * ceil(spec.frames / STRIDE), width, bias=False)
        nn.init.eye_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)
        nn.init.zeros_(self.more.weight)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, M], [n, F] -> [n, D]."""
        there = mask.unsqueeze(-1).to(self.gain.dtype)
        x = (x.to(there.dtype).flatten(2) - self.centre_db) / self.scale_db * there
        smooth = (self.time @ x @ self.band.T * self.gain).flatten(1)
        local = self.conv(torch.cat([x, there], -1).transpose(1, 2))
        return self.mix(smooth) + self.more(local.flatten(1))


class PooledMelEncoder(nn.Module):
    """[n, F, M] dB, [n, F] -> [n, D]: strided convolutions, then places of 8 frames pooled by a temporal module."""

    def __init__(
        self, spec: FeatureSpec, width: int, centre_db: float, scale_db: float, temporal: TemporalModule
    ) -> None:
        super().__init__()
        self.centre_db, self.scale_db = centre_db, scale_db
        self.conv = stem(spec.size)
        self.pool = build_temporal(temporal, CHANNELS[-1], spec.tr_s)
        self.out = nn.Linear(CHANNELS[-1], width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, M], [n, F] -> [n, D]."""
        there = mask.unsqueeze(-1).to(self.out.weight.dtype)
        x = (x.to(there.dtype).flatten(2) - self.centre_db) / self.scale_db * there
        places = self.conv(torch.cat([x, there], -1).transpose(1, 2)).transpose(1, 2)
        kept = F.max_pool1d(there.transpose(1, 2), STRIDE, ceil_mode=True)[:, 0] > 0
        return self.out(self.pool(places, kept))


class MelDecoder(Cosine):
    """[n, D] -> [n, F, M] dB: the patterns, refined by convolutions over the frames."""

    def __init__(self, spec: FeatureSpec, width: int, centre_db: float, scale_db: float) -> None:
        super().__init__(spec, width)
        self.shape, self.centre_db, self.scale_db = spec.shape, centre_db, scale_db
        hidden = CHANNELS[1]
        self.mix = nn.Linear(width, self.gain.numel())
        last = nn.Conv1d(hidden, spec.size, 3, padding=1, bias=False)
        self.refine = nn.Sequential(nn.Conv1d(spec.size, hidden, 3, padding=1), nn.GELU(), last)
        nn.init.eye_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)
        nn.init.zeros_(last.weight)
        self.gain = nn.Buffer(spec.frames * spec.size / self.gain, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, M]."""
        smooth = self.time.T @ (self.mix(h).unflatten(1, self.gain.shape) * self.gain) @ self.band
        x = smooth + self.refine(smooth.transpose(1, 2)).transpose(1, 2)
        return (x * self.scale_db + self.centre_db).unflatten(2, self.shape)


class Scaled(nn.Module):
    """A net of the core that sees, or makes, features in units of `scale` about `centre` [*S]."""

    def __init__(self, net: nn.Module, centre: Tensor, scale: float) -> None:
        super().__init__()
        self.net, self.scale = net, scale
        self.centre = nn.Buffer(centre, persistent=False)


class ScaledEncoder(Scaled):
    """[n, F, *S], [n, F] -> [n, D]."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, *S], [n, F] -> [n, D]."""
        return self.net((x.to(self.centre.dtype) - self.centre) / self.scale, mask)


class ScaledDecoder(Scaled):
    """[n, D] -> [n, F, *S]."""

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, *S]."""
        return self.net(h) * self.scale + self.centre
