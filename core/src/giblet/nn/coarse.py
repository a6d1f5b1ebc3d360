"""The blurred film, linearly: what an autoencoder of films learns first, and convolutions add detail to.

Deep decoders that start from noise first learn to say nothing; a linear path to a coarse picture gives them a gradient
from the first step. Its dense layers see 16 x 9 cells, never pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from giblet.nn.convolutions import spread

CELLS = (2, 9, 16)
"""Moments in a TR, rows and columns of the coarse clip."""
CONTRAST = 6.0


class CoarseEncoder(nn.Module):
    """[n, K, 3, h, w] in 0..1 -> [n, D], linear in the coarse clip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * CELLS[0] * CELLS[1] * CELLS[2], width)

    def forward(self, clip: Tensor) -> Tensor:
        """[n, K, 3, h, w] -> [n, D]."""
        cells = F.adaptive_avg_pool3d(clip.transpose(1, 2), CELLS)
        return self.dense(CONTRAST * (cells - 0.5).flatten(1))


class CoarseDecoder(nn.Module):
    """[n, D] -> [n, K, 3, h, w] in about 0..1: a learned mean picture and a coarse clip, linear in the code."""

    def __init__(self, size_KHW: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.size_KHW = size_KHW
        self.dense = nn.Linear(width, 3 * CELLS[0] * CELLS[1] * CELLS[2])
        self.mean = nn.Parameter(torch.full((1, 1, 3, *size_KHW[1:]), 0.5))
        nn.init.normal_(self.dense.weight, std=0.1 / width**0.5)
        nn.init.zeros_(self.dense.bias)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, K, 3, h, w]."""
        cells = self.dense(h).unflatten(1, (3, *CELLS)) / CONTRAST
        return spread(cells, self.size_KHW).transpose(1, 2) + self.mean
