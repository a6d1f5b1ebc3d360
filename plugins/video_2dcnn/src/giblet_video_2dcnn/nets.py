"""A convolutional net on each frame, pooled over the frames of a TR, and its mirror."""

from __future__ import annotations

from itertools import pairwise

import torch
from giblet.nn import (
    HIDDEN,
    ClipDecoder,
    ClipEncoder,
    CoarseDecoder,
    CoarseEncoder,
    build_temporal,
    halves,
    normalised,
)
from giblet.types import Temporal
from torch import Tensor, nn

POOLED = 32
"""Channels that leave the convolutions for the dense layer."""
Size = tuple[int, int, int]


def block(conv: nn.Module, channels: int) -> nn.Sequential:
    """A convolution, normalised."""
    return nn.Sequential(conv, *normalised(channels, groups=8))


class StayDriftChange(nn.Module):
    """[n, K, C], [n, K] -> [n, 3 C]: the mean over the frames, late ones against early ones, and mean change."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, K, C], [n, K] -> [n, 3 C]; the clip is full wherever it is there at all."""
        late = torch.linspace(-1, 1, x.shape[1], device=x.device)[None, :, None]
        return torch.cat([x.mean(1), (x * late).mean(1), x.diff(dim=1).abs().mean(1)], 1)


class Encoder(ClipEncoder):
    """[n, F, H, W, 3], [n, F] -> [n, D]: each frame by itself, then the frames of the TR to one.

    `temporal="own"` keeps `StayDriftChange`; the other names are those of `giblet.nn.build_temporal`.
    """

    def __init__(
        self,
        size_KHW: Size,
        channels: tuple[int, ...],
        width: int,
        temporal: Temporal = "own",
        tr_s: float | None = None,
    ) -> None:
        super().__init__(size_KHW, width)
        steps = pairwise((3, *channels))
        self.frame = nn.Sequential(*(block(nn.Conv2d(a, b, 3, stride=2, padding=1), b) for a, b in steps))
        self.narrow = nn.Conv2d(channels[-1], POOLED, 1)
        values = POOLED * halves(size_KHW[1], len(channels))[-1] * halves(size_KHW[2], len(channels))[-1]
        own = temporal == "own"
        self.enter = nn.Identity() if own else nn.Linear(values, HIDDEN)
        self.pool = StayDriftChange() if own else build_temporal(temporal, HIDDEN, tr_s)
        pooled = 3 * values if own else HIDDEN
        self.dense = nn.Sequential(nn.LayerNorm(pooled), nn.Linear(pooled, self.learned))
        self.coarse = CoarseEncoder(self.learned)

    def see(self, clip: Tensor, there: Tensor) -> Tensor:
        """[n, K, 3, h, w], [n, K] -> [n, learned]."""
        y = self.narrow(self.frame((clip - 0.5).flatten(0, 1) * 4)).unflatten(0, clip.shape[:2])
        return self.dense(self.pool(self.enter(y.flatten(2)), there))


class Decoder(ClipDecoder):
    """[n, D] -> [n, F, H, W, 3] in about 0..255: a coarse film, and what transposed convolutions add to each frame.

    Each transposed convolution is told the side that it has to give, so odd sides come out as they went in.
    """

    def __init__(self, size_KHW: Size, channels: tuple[int, ...], width: int, out_FHW: Size) -> None:
        super().__init__(out_FHW)
        self.frames, height, side = size_KHW
        self.sides = list(zip(halves(height, len(channels)), halves(side, len(channels)), strict=True))[::-1]
        self.whole = nn.Linear(width, 128)
        self.each = nn.Linear(width, self.frames * 32)
        rows, columns = self.sides[0]
        self.start = nn.Sequential(
            nn.GELU(), nn.Linear(160, POOLED * rows * columns), nn.Unflatten(1, (POOLED, rows, columns))
        )
        self.widen = block(nn.Conv2d(POOLED, channels[-1], 1), channels[-1])
        steps = [nn.ConvTranspose2d(a, b, 3, stride=2, padding=1) for a, b in pairwise((*channels[::-1], 3))]
        self.steps = nn.ModuleList(steps)
        self.norms = nn.ModuleList(block(nn.Identity(), c) for c in channels[-2::-1])
        self.coarse = CoarseDecoder(size_KHW, width)

    def detail(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, K, 3, h, w]."""
        whole = self.whole(h).unsqueeze(1).expand(-1, self.frames, -1)
        x = torch.cat([whole, self.each(h).unflatten(1, (self.frames, 32))], 2).flatten(0, 1)
        x = self.widen(self.start(x))
        for i, step in enumerate(self.steps):
            x = step(x, output_size=self.sides[i + 1])
            x = self.norms[i](x) if i < len(self.norms) else x
        return x.unflatten(0, (len(h), self.frames))
