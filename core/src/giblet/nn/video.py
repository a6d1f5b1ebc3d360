"""Film for networks: few small frames in, frames of full size out, and the plain summary that baselines read.

Frames are `[n, F, H, W, 3]` uint8 (or floats 0..1) outside and clips `[n, K, 3, h, w]` floats 0..1 inside a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from giblet.types import Aligned, Array, Features

MEASURED = 15
"""Numbers that `clip_statistics` gives a TR."""
CELLS = (2, 3)


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


def clip_statistics(clip: Tensor) -> Tensor:
    """What visual cortex follows, measured and not learned, [n, 15]: log motion energy and log contrast in 2 x 3 cells,
    mean colour.

    Motion energy is approximated by the mean squared difference of successive frames of the luma.
    """
    luma = clip.mean(2)
    motion = F.adaptive_avg_pool2d(luma.diff(dim=1).square(), CELLS).mean(1)
    mean = F.adaptive_avg_pool2d(luma, CELLS)
    contrast = (F.adaptive_avg_pool2d(luma.square(), CELLS) - mean.square()).clamp_min(0).mean(1)
    colour = clip.mean((1, 3, 4))
    return torch.cat([*((x.flatten(1) + 1e-5).log() / 3 + 2 for x in (motion, contrast)), 4 * colour - 2], 1)


def stretch(clip: Tensor, frames: int) -> Tensor:
    """Resample a clip [n, K, *S] to F frames, linear in time, the ends held."""
    n_frames = clip.shape[1]
    if n_frames == frames:
        return clip
    place = ((torch.arange(frames, device=clip.device) + 0.5) * n_frames / frames - 0.5).clamp(0, n_frames - 1)
    weight = (1 - (place[:, None] - torch.arange(n_frames, device=clip.device)).abs()).clamp_min(0).to(clip.dtype)
    return torch.matmul(weight, clip.flatten(2)).unflatten(2, clip.shape[2:])


def to_frames(clip: Tensor, frames: int, height: int, width: int) -> Tensor:
    """A clip [n, K, 3, h, w] in 0..1 as frames [n, F, H, W, 3] in 0..255: linear in time, bilinear in space."""
    flat = 255 * stretch(clip, frames).flatten(0, 1)
    if flat.shape[2:] != (height, width):
        flat = F.interpolate(flat, size=(height, width), mode="bilinear", align_corners=False)
    return flat.unflatten(0, (len(clip), frames)).permute(0, 1, 3, 4, 2)


class LazyFrames(Tensor):
    """Frames [n, F, H, W, 3] that are made from their clip when anything reads them.

    Much of a training step would go into pixels that only repeat their neighbours, so in training `frame_loss`
    reads the clip instead. To everybody else this is the tensor that `to_frames` gives, gradient included.
    """

    made_of: Tensor
    size_fhw: tuple[int, int, int]

    @staticmethod
    def of(clip: Tensor, frames: int, height: int, width: int) -> LazyFrames:
        """Frames to be made from `clip` [n, K, 3, h, w]."""
        shape = (len(clip), frames, height, width, 3)
        out = torch.Tensor._make_subclass(LazyFrames, clip.detach().new_empty(1).expand(shape))
        out.made_of, out.size_fhw = clip, (frames, height, width)
        return out

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Make the frames, then do what was asked."""
        from torch.utils._pytree import tree_map_only

        made = tree_map_only(LazyFrames, lambda x: to_frames(x.made_of, *x.size_fhw), (args, kwargs or {}))
        return func(*made[0], **made[1])


def decoded_frames(clip: Tensor, frames: int, height: int, width: int, *, lazy: bool) -> Tensor:
    """What a film's decoder returns, [n, F, H, W, 3]; `lazy` (in training) leaves the resizing until it is needed."""
    make = LazyFrames.of if lazy else to_frames
    return make(clip, frames, height, width)


def frame_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of frames in 0..255 against frames of levels 0..255 [n, F, H, W, 3], unreduced: [n, F].

    In units of the full range squared.

    In training (`LazyFrames`) the clip's pixels are compared with one pixel each of those that they stand for, another
    one from frame to frame, so that the estimate has no bias towards a side.
    """
    if isinstance(prediction, LazyFrames):
        return _clip_loss(prediction.made_of, target)
    return (prediction - target.to(prediction.dtype)).div(255).square().flatten(2).mean(-1)


def _clip_loss(clip: Tensor, target: Tensor) -> Tensor:
    made = stretch(clip, target.shape[1])
    seen, full = torch.empty_like(made), target.permute(0, 1, 4, 2, 3)
    for phase in range(4):
        rows, columns = (_lattice(made.shape[3 + i], full.shape[3 + i], (phase // 2, phase % 2)[i]) for i in (0, 1))
        seen[:, phase::4] = full[:, phase::4, :, rows][..., columns]
    return torch.sub(made, seen, alpha=1 / 255).square().flatten(2).mean(-1)


def _lattice(n: int, full: int, phase: int) -> Any:
    """Which of `full` pixels stand for each of n, the first or the second of a pair; a slice where that is exact."""
    if full == 2 * n:
        return slice(phase, None, 2)
    return [min(full - 1, int((i + 0.25 + 0.5 * phase) * full / n)) for i in range(n)]


def film_summary(aligned: Aligned, rows: int = 9, columns: int = 16) -> Array:
    """The picture in plain numbers for linear baselines, `[T, P]` float32; P = 3 rows columns + 4, zero without frames.

    Mean and SD over time of the luma in rows x columns cells, log energy of the frame differences in each (in place of
    optical flow), mean colour, and contrast; from every second pixel of frames at least 45 high. Read TR by TR.
    """
    features, step = aligned.features, 1 + (aligned.features.values.shape[1] >= 5 * rows)
    out = [
        _summary_row(np.asarray(features.values[a : a + n, ::step, ::step]), rows, columns)
        for a, n in zip(aligned.first.tolist(), aligned.count.tolist(), strict=True)
    ]
    return np.stack(out) if out else np.zeros((0, 3 * rows * columns + 4), np.float32)


def _summary_row(x: Array, rows: int, columns: int) -> Array:
    """One TR of frames, [F, h, w, 3], as [P]."""
    if len(x) == 0:
        return np.zeros(3 * rows * columns + 4, np.float32)
    x = x if x.dtype == np.uint8 else x * np.float32(255)
    luma = x[..., 0] * np.float32(0.299) + x[..., 1] * np.float32(0.587) + x[..., 2] * np.float32(0.114)
    mean = _cells(luma, rows, columns)
    energy = _cells(np.square(np.diff(luma, axis=0)), rows, columns).mean(0) if len(x) > 1 else np.zeros(mean.shape[1:])
    parts = [mean.mean(0), mean.std(0), np.log1p(energy), x.mean((0, 1, 2)), luma.std((1, 2)).mean()]
    return np.concatenate([np.ravel(p) for p in parts]).astype(np.float32)


def _cells(x: Array, rows: int, columns: int) -> Array:
    """Means over rows x columns cells of [F, h, w]; a picture smaller than that gives pixels to several cells."""
    for axis, n in ((1, rows), (2, columns)):
        edges = np.arange(n) * x.shape[axis] // n
        width = np.maximum(np.diff(np.append(edges, x.shape[axis])), 1)
        x = np.add.reduceat(x, edges, axis=axis) / width.astype(x.dtype).reshape((-1, 1) if axis == 1 else (-1,))
    return x


def film_pictures(features: Features) -> tuple[Iterator[Array], Fraction]:
    """What a film writer needs: pictures [H, W, 3] uint8 one by one (from floats 0..1 too), and their mean rate.

    The mean, because a container that keeps time in milliseconds has no two steps alike at 24 frames a second.
    """
    n = len(features.ticks) - 1
    span_s = int(features.ticks[-1] - features.ticks[0]) * features.timebase if n > 0 else Fraction(0)
    rate_hz = (n / span_s).limit_denominator(1001) if span_s else Fraction(25)
    return (_bytes(np.asarray(value)) for value in features.values), rate_hz


def _bytes(picture: Array) -> Array:
    return picture if picture.dtype == np.uint8 else np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
