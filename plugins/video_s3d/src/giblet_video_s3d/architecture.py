"""The layers of S3D (Xie 2018, doi:10.1007/978-3-030-01267-0_19), torchvision's blocks at any share of its channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int, int]
Norm = Callable[[int], nn.Module]
CODE = 1024
"""Channels of the last block."""
EPS = 1e-3
"""What torchvision adds to the variances."""
INCEPTION: tuple[tuple[int, ...], ...] = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
"""Channels of the four branches of each block (mid and out of the second and third); time and space halve at ()."""


def scaled(channels: int, scale: float) -> int:
    """A share of some channels, in eights, which group normalisation needs; what is published is in eights already."""
    return max(8, 8 * round(channels * scale / 8))


def s3d_features(scale: float, norm: Norm) -> nn.Sequential:
    """[n, 3, K, h, w] -> [n, C, K / 8, h / 32, w / 32]; named as in torchvision, whose weights fit at scale 1."""
    from torchvision.models.video.s3d import SepInceptionBlock3D, TemporalSeparableConv
    from torchvision.ops.misc import Conv3dNormActivation

    stem, now = scaled(64, scale), scaled(192, scale)
    layers: list[nn.Module] = [
        TemporalSeparableConv(3, stem, 7, 2, 3, norm),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        Conv3dNormActivation(stem, stem, kernel_size=1, stride=1, norm_layer=norm),
        TemporalSeparableConv(stem, now, 3, 1, 1, norm),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ]
    pools = iter((nn.MaxPool3d(3, 2, 1), nn.MaxPool3d(2, 2)))
    for branches in INCEPTION:
        b = [scaled(c, scale) for c in branches]
        layers.append(SepInceptionBlock3D(now, *b, norm) if b else next(pools))
        now = b[0] + b[2] + b[4] + b[5] if b else now
    return nn.Sequential(*layers)


def grouped(channels: int) -> nn.Module:
    """Group normalisation, which a batch of any size leaves alone."""
    return nn.GroupNorm(4, channels)


class FrozenStatistics(nn.Module):
    """Batch normalisation by statistics that never move, not in training either: small batches would spoil them."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, ...] -> the same."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=EPS)
