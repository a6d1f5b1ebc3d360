"""What every encoder and decoder of film does around its convolutions."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from giblet.nn.clips import as_levels, to_clip, to_frames
from giblet.nn.coarse import CoarseDecoder, CoarseEncoder
from giblet.nn.measured import MEASURED, clip_statistics

DETAIL = 0.05
"""How much of the picture the convolutions make before they are trained; the rest is the coarse film."""
Size = tuple[int, int, int]


class ClipEncoder(nn.Module, ABC):
    """[n, F, H, W, 3], [n, F] -> [n, D]: what is measured on the clip, then what is learned from it.

    A net says in `see` what its convolutions make of the clip. The first units are `clip_statistics`: motion, contrast
    and colour stay linear in the code whatever else is learned. It builds its own layers, then `coarse`.
    """

    coarse: CoarseEncoder

    def __init__(self, size_KHW: Size, width: int) -> None:
        super().__init__()
        self.size_KHW, self.measured = size_KHW, min(MEASURED, width // 2)
        self.learned = width - self.measured

    @abstractmethod
    def see(self, clip: Tensor, there: Tensor) -> Tensor:
        """[n, K, 3, h, w] in 0..1 and [n, K] -> [n, learned]; the clip is full wherever it is there at all."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, H, W, 3], [n, F] -> [n, D]."""
        clip = to_clip(x, mask, *self.size_KHW)
        there = mask.any(1, keepdim=True).expand(-1, clip.shape[1])
        learned = self.coarse(clip) + self.see(clip, there)
        return torch.cat([clip_statistics(clip)[:, : self.measured], learned], 1)


class ClipDecoder(nn.Module, ABC):
    """[n, D] -> [n, F, H, W, 3] in about 0..255: a coarse film, and the detail that a net's convolutions add.

    In training it gives the clip itself, [n, K, h, w, 3], which `frame_loss` compares with the whole frames. A net
    builds its own layers, then `coarse`.
    """

    coarse: CoarseDecoder

    def __init__(self, out_FHW: Size) -> None:
        super().__init__()
        self.out_FHW = out_FHW

    @abstractmethod
    def detail(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, K, 3, h, w], of about unit size."""

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, H, W, 3], or [n, K, h, w, 3] in training."""
        clip = self.coarse(h) + DETAIL * self.detail(h)
        return as_levels(clip) if self.training and torch.is_grad_enabled() else to_frames(clip, *self.out_FHW)
