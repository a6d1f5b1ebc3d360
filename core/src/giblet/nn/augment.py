"""What a training step does to features before the encoder sees them, by their declared kind; never to targets."""

from __future__ import annotations

import torch
from torch import Tensor

from giblet.types import FeatureSpec

ERASED = 0.25
"""Side of the erased stretch of a frame's axis, as a share of it (random erasing, Zhong et al. 2020, arXiv:1708.04896;
bands of frequency, Park et al. 2019, doi:10.21437/Interspeech.2019-2680)."""


def augmented(x: Tensor, mask: Tensor, spec: FeatureSpec, strength: float) -> tuple[Tensor, Tensor]:
    """One batch of TRs, [n, F, *S] and [n, F], as a training step shows it to an encoder.

    Frames are dropped with probability `strength` (one always stays). Continuous values get gaussian noise of
    `strength` SDs (over the batch), a gain of the whole TR around its mean, and, in a share `strength` of the TRs, lose
    a stretch of every axis of the frame: a rectangle of a picture, a band of a spectrum. Discrete values are replaced
    by random classes with probability `strength`. Draws come from torch's generator, which the loop seeds by step.
    """
    if not strength:
        return x, mask
    kept = mask & _stays(mask, strength)
    if spec.num_classes is not None:
        other = torch.randint_like(x, spec.num_classes)
        return torch.where(torch.rand(x.shape, device=x.device) < strength, other, x), kept
    values = x.to(torch.float32)
    there = values[mask]
    sd, centre = there.std(), values.flatten(1).mean(1).view(-1, *[1] * (x.ndim - 1))
    gain = 1 + strength * torch.randn_like(centre)
    noisy = (values - centre) * gain + centre + strength * sd * torch.randn_like(values)
    hole = _rectangles(x.shape, strength).to(x.device)
    return _as(torch.where(hole, centre.expand_as(noisy), noisy), x.dtype), kept


def _stays(mask: Tensor, strength: float) -> Tensor:
    """Frames that are not dropped, [n, F]: of those that are there, at least the one with the largest draw."""
    draw = torch.rand(mask.shape, device=mask.device) * mask
    return (draw >= strength) | (draw == draw.max(1, keepdim=True).values)


def _rectangles(shape: torch.Size, strength: float) -> Tensor:
    """Which values are erased, broadcast to [n, 1, *S]; an axis of three or fewer, such as colour, goes as a whole."""
    n, sizes = shape[0], shape[2:]
    hole = (torch.rand(n) < strength).view(n, 1, *[1] * len(sizes))
    for axis, size in enumerate(sizes):
        if size > 3:
            width = max(1, round(ERASED * size))
            start = torch.randint(size - width + 1, (n, 1))
            place = torch.arange(size)
            inside = (place >= start) & (place < start + width)
            hole = hole & inside.view(n, 1, *[1] * axis, size, *[1] * (len(sizes) - axis - 1))
    return hole if any(size > 3 for size in sizes) else torch.zeros_like(hole)


def _as(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values in the features' own type, rounded into its range where it is a whole number."""
    if dtype.is_floating_point:
        return values.to(dtype)
    info = torch.iinfo(dtype)
    return values.round().clamp(info.min, info.max).to(dtype)
