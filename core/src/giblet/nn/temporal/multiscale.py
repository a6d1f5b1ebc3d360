"""`multiscale`: what happens within one frame and within 3, 5, 7 and 11 of them, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from giblet.nn.temporal.clock import TimeCode

KERNELS = (1, 3, 5, 7, 11)
"""Frames that each branch sees: at 25 Hz 0.04 to 0.44 s, from a picture to a few syllables."""


class MultiScale(nn.Module):
    """[n, F, D], [n, F] -> [n, F, D]: parallel convolutions over the frames, mixed and added to their input.

    Each branch gives D/2 channels, which makes 1.05 M parameters at D = 256. Frames that are not there count as 0, as
    do those before and after the TR.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time, branch = TimeCode(width), max(1, width // 2)
        self.branches = nn.ModuleList(nn.Conv1d(width, branch, k, padding=k // 2) for k in KERNELS)
        self.mix = nn.Linear(branch * len(KERNELS), width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D], [n, F] -> [n, F, D]; frames that are not there become 0."""
        seen = self.time(x, mask).transpose(1, 2)
        scales = torch.cat([branch(seen) for branch in self.branches], 1).transpose(1, 2)
        return (x + self.mix(F.gelu(scales))) * mask.unsqueeze(-1)
