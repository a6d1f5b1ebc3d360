"""What visual cortex follows, measured on a clip and not learned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MEASURED = 15
"""Numbers that `clip_statistics` gives a TR."""
CELLS = (2, 3)


def clip_statistics(clip: Tensor) -> Tensor:
    """Log motion energy and log contrast in 2 x 3 cells, and mean colour, of a clip [n, K, 3, h, w]: [n, 15].

    Motion energy is approximated by the mean squared difference of successive frames of the luma.
    """
    luma = clip.mean(2)
    motion = F.adaptive_avg_pool2d(luma.diff(dim=1).square(), CELLS).mean(1)
    mean = F.adaptive_avg_pool2d(luma, CELLS)
    contrast = (F.adaptive_avg_pool2d(luma.square(), CELLS) - mean.square()).clamp_min(0).mean(1)
    colour = clip.mean((1, 3, 4))
    return torch.cat([*((x.flatten(1) + 1e-5).log() / 3 + 2 for x in (motion, contrast)), 4 * colour - 2], 1)
