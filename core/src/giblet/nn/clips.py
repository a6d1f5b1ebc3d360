"""Film for networks: few small frames in, frames of full size out.

Frames are `[n, F, H, W, 3]` uint8 (or floats 0..1) outside and clips `[n, K, 3, h, w]` floats 0..1 inside a network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pick_frames(x: Tensor, mask: Tensor, n_frames: int) -> Tensor:
    """Of the frames that mask [n, F] says are there, `n_frames` evenly spaced ones a TR, [n, K, *S]; 0 keeps F.

    A TR with fewer frames repeats the nearest; a TR with none repeats its first, empty one.
    """
    n_frames = n_frames or x.shape[1]
    count = mask.sum(1, keepdim=True)
    place = (torch.arange(n_frames, device=x.device) + 0.5) / n_frames * count
    there = torch.argsort(~mask, dim=1, stable=True)
    index = there.gather(1, place.long().minimum((count - 1).clamp_min(0)))
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def to_clip(x: Tensor, mask: Tensor, n_frames: int, height: int, width: int) -> Tensor:
    """Frames [n, F, H, W, 3] to a clip [n, K, 3, h, w] in 0..1, antialiased; all zero where a TR has no frame."""
    frames = pick_frames(x, mask, n_frames or max(2, x.shape[1])).permute(0, 1, 4, 2, 3)
    flat = frames.flatten(0, 1)
    if flat.dtype == torch.uint8 and flat.device.type != "cpu":
        flat = flat.float().div(255)
    if flat.shape[2:] != (height, width):
        flat = F.interpolate(flat, size=(height, width), mode="bilinear", antialias=True)
    clip = flat.float().div(255) if flat.dtype == torch.uint8 else flat.float()
    return clip.unflatten(0, frames.shape[:2]) * mask.any(1)[:, None, None, None, None]


def stretch(clip: Tensor, frames: int) -> Tensor:
    """Resample a clip [n, K, *S] to F frames, linear in time, the ends held."""
    if clip.shape[1] == frames:
        return clip
    return torch.matmul(between(clip.shape[1], frames, clip), clip.flatten(2)).unflatten(2, clip.shape[2:])


def between(n: int, out: int, like: Tensor) -> Tensor:
    """Weights [out, n] of the linear interpolation of n values to `out` over the same span, the ends held."""
    place = ((torch.arange(out, device=like.device) + 0.5) * n / out - 0.5).clamp(0, n - 1)
    return (1 - (place[:, None] - torch.arange(n, device=like.device)).abs()).clamp_min(0).to(like.dtype)


def to_frames(clip: Tensor, frames: int, height: int, width: int) -> Tensor:
    """A clip [n, K, 3, h, w] in 0..1 as frames [n, F, H, W, 3] in 0..255: linear in time, bilinear in space."""
    flat = 255 * stretch(clip, frames).flatten(0, 1)
    if flat.shape[2:] != (height, width):
        flat = F.interpolate(flat, size=(height, width), mode="bilinear", align_corners=False)
    return flat.unflatten(0, (len(clip), frames)).permute(0, 1, 3, 4, 2)


def as_levels(clip: Tensor) -> Tensor:
    """A clip [n, K, 3, h, w] in 0..1 as few small frames [n, K, h, w, 3] in 0..255, which `frame_loss` takes too."""
    return 255 * clip.permute(0, 1, 3, 4, 2)
