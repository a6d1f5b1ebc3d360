"""What convolutional nets of film share: sides that halve, normalisation, and cells that spread to a clip."""

from __future__ import annotations

import math

from torch import Tensor, einsum, nn

from giblet.nn.clips import between

HIDDEN = 256
"""D of the temporal modules."""


def halves(length: int, times: int) -> list[int]:
    """A side after 0, 1, ... convolutions of stride 2 that pad by half their kernel."""
    sides = [length]
    for _ in range(times):
        sides.append(-(-sides[-1] // 2))
    return sides


def normalised(channels: int, groups: int) -> nn.Sequential:
    """Group normalisation, which a batch of any size leaves alone, and the nonlinearity; at most so many groups."""
    return nn.Sequential(nn.GroupNorm(math.gcd(channels, groups), channels), nn.ReLU())


def spread(cells: Tensor, size_KHW: tuple[int, int, int]) -> Tensor:
    """Cells [n, C, k, i, j] to a clip [n, C, K, H, W], linear along each axis, the ends held."""
    if tuple(cells.shape[2:]) == size_KHW:
        return cells
    k, rows, columns = (between(n, out, cells) for n, out in zip(cells.shape[2:], size_KHW, strict=True))
    # Matrices, because the gradient of `F.interpolate` takes longer than all convolutions of a small net.
    return einsum("kt,nctij->nckij", k, rows @ cells @ columns.T)
