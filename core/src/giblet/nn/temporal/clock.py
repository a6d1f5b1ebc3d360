"""When in its TR a frame is shown, and a code of that time which is added to the frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WAVES = 16
"""Cosines of 1/2, 1, ... 8 cycles a TR (as in the DCT): at a TR of 1.5 s the fastest lasts 190 ms."""


def time_in_tr(mask: Tensor) -> Tensor:
    """The middle of each frame as a share of its TR, [n, F] in 0..1, from the mask [n, F] of frames that are there.

    F is the most frames of any TR. A TR with one fewer is as full as the others (37 or 38 at 25 Hz and 1.5 s), so its
    frames are spread over the whole TR; one with fewer still holds the beginning of its TR, at the usual rate.
    """
    frames = mask.shape[1]
    place = torch.arange(frames, device=mask.device)
    last = ((place + 1) * mask).amax(1, keepdim=True)
    return ((place + 0.5) / last.clamp_min(max(1, frames - 1))).clamp_max(1.0)


class TimeCode(nn.Module):
    """[n, F, D], [n, F] -> [n, F, D]: each frame plus a learned mixture of cosines of its time within the TR."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(WAVES, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames that are not there become 0."""
        order = torch.arange(1, WAVES + 1, device=x.device)
        waves = torch.cos(torch.pi * order * time_in_tr(mask).unsqueeze(-1)).to(x.dtype)
        return (x + self.mix(waves)) * mask.unsqueeze(-1)
