"""Default encoder and decoder for features of any shape, and the identity pair for features that need no training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from giblet.nn.temporal import FrameAxis, build_temporal, masked_mean
from giblet.types import FeatureSpec, Temporal


class FrameEncoder(nn.Module):
    """[n, F, *S], [n, F] -> [n, D]: frames to vectors, then the frames of the TR to one.

    `temporal="own"` is a convolution over the frames and two ways of pooling, the mean and one that weighs late frames
    against early ones; the other names are those of `build_temporal`.
    """

    def __init__(self, spec: FeatureSpec, width: int, hidden: int = 256, temporal: Temporal = "own") -> None:
        super().__init__()
        classes = spec.num_classes
        self.embed = None if classes is None else nn.Embedding(classes, 16)
        self.frame = nn.Sequential(nn.Linear(spec.size * (1 if classes is None else 16), hidden), nn.GELU())
        own = temporal == "own"
        self.pool = EarlyAndLate(hidden) if own else build_temporal(temporal, hidden, spec.tr_s)
        self.out = nn.Linear(hidden * (2 if own else 1), width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, *S], [n, F] -> [n, D]."""
        x = x.flatten(2) if self.embed is None else self.embed(x.flatten(2).long()).flatten(2)
        return self.out(self.pool(self.frame(x.to(self.out.weight.dtype)) * mask.unsqueeze(-1), mask))


class EarlyAndLate(nn.Module):
    """[n, F, D], [n, F] -> [n, 2 D]: a convolution over the frames, their mean, and late frames against early ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D], [n, F] -> [n, 2 D]."""
        late = torch.linspace(-1, 1, x.shape[1], device=x.device)[None, :, None]
        x = torch.nn.functional.gelu(self.conv(x.transpose(1, 2)).transpose(1, 2)) + x
        return torch.cat([masked_mean(x, mask), masked_mean(x * late, mask)], -1)


class FrameDecoder(nn.Module):
    """[n, D] -> [n, F, *S] (class logits last where the features are discrete)."""

    def __init__(self, spec: FeatureSpec, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.shape = spec.shape if spec.num_classes is None else (*spec.shape, spec.num_classes)
        self.start = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
        self.place = FrameAxis(spec.frames, hidden)
        self.frame = nn.Sequential(nn.Conv1d(hidden, hidden, 3, padding=1), nn.GELU())
        self.out = nn.Linear(hidden, spec.size * (spec.num_classes or 1))

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, *S]."""
        x = self.place(self.start(h))
        x = x + self.frame(x.transpose(1, 2)).transpose(1, 2)
        return self.out(x).unflatten(-1, self.shape)


class MaskedFlatten(nn.Module):
    """Features that are their own code: the mean over the frames of a TR, flattened, [n, F, *S] -> [n, size]."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, *S], [n, F] -> [n, size]."""
        return masked_mean(x.flatten(2).float(), mask)


class UnflattenFrame(nn.Module):
    """The way back from MaskedFlatten: [n, size] -> [n, F, *S], the same in every frame."""

    def __init__(self, spec: FeatureSpec) -> None:
        super().__init__()
        self.frames, self.shape = spec.frames, spec.shape

    def forward(self, h: Tensor) -> Tensor:
        """[n, size] -> [n, F, *S]."""
        return h.unflatten(-1, self.shape).unsqueeze(1).expand(-1, self.frames, *self.shape)
