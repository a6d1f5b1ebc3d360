"""Frames of a TR to one vector and back, without anything learned about their order on the way in."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average [n, F, D] over the frames that mask [n, F] says are there; 0 where a TR has none."""
    weight = mask.to(x.dtype).unsqueeze(-1)
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1.0)


class Mean(nn.Module):
    """The baseline `mean`: [n, F, D], [n, F] -> [n, D]; the order of the frames is lost."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D], [n, F] -> [n, D]."""
        return masked_mean(x, mask)


class FrameAxis(nn.Module):
    """Spread one vector a TR over its F frames: [n, D] -> [n, F, D], each frame with an embedding of its place."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(frames, width) * 0.02)
        self.gain = nn.Parameter(torch.ones(frames, width))

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, D]."""
        return h.unsqueeze(1) * self.gain + self.place
