"""How far a film is from the one that was shown."""

from __future__ import annotations

import torch
from torch import Tensor

from giblet.nn.clips import stretch

Pixels = slice | list[int]
SPLIT = 4
"""TRs that are compared at once: all frames of a whole batch as floats would fill the memory."""


def frame_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error against frames of levels 0..255, `[n, F, H, W, 3]`, in units of the full range squared: [n, F].

    The prediction has that shape, or that of a decoder in training, `[n, K, h, w, 3]`, whose fewer and smaller frames
    are stretched to F in time and compared with one pixel each of those that they stand for: much of a training step
    would else go into pixels that only repeat their neighbours. It is another pixel from frame to frame, so that the
    estimate has no bias towards a side.
    """
    if prediction.shape[1:] != target.shape[1:]:
        return _sampled_loss(prediction, target)
    few = zip(prediction.split(SPLIT), target.split(SPLIT), strict=True)
    return torch.cat([_error(p, t) for p, t in few])


def _error(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target.to(prediction.dtype)).div(255).square().flatten(-3).mean(-1)


def _sampled_loss(prediction: Tensor, target: Tensor) -> Tensor:
    made = stretch(prediction.permute(0, 1, 4, 2, 3), target.shape[1])
    full = target.permute(0, 1, 4, 2, 3)
    seen = torch.empty_like(made)
    for phase in range(4):
        rows, columns = (pixels_of(made.shape[3 + i], full.shape[3 + i], (phase // 2, phase % 2)[i]) for i in (0, 1))
        seen[:, phase::4] = full[:, phase::4, :, rows][..., columns]
    return (made - seen).div(255).square().flatten(2).mean(-1)


def pixels_of(n: int, full: int, phase: int) -> Pixels:
    """Which of `full` pixels stand for each of n, the first or the second of a pair; a slice where that is exact."""
    if full == 2 * n:
        return slice(phase, None, 2)
    return [min(full - 1, int((i + 0.25 + 0.5 * phase) * full / n)) for i in range(n)]
