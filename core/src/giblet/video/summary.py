"""A film in plain numbers, for linear baselines."""

from __future__ import annotations

import numpy as np

from giblet.types import Aligned, Array


def film_summary(aligned: Aligned, rows: int = 9, columns: int = 16) -> Array:
    """The picture in plain numbers for linear baselines, `[T, P]` float32; P = 3 rows columns + 4, zero without frames.

    Mean and SD over time of the luma in rows x columns cells, log energy of the frame differences in each (in place of
    optical flow), mean colour, and contrast; from every second pixel of frames at least 45 high. Read TR by TR.
    """
    values, step = aligned.features.values, 1 + (aligned.features.values.shape[1] >= 5 * rows)
    out = [
        _summary_row(np.asarray(values[aligned.places(slice(t, t + 1)), ::step, ::step]), rows, columns)
        for t in range(aligned.grid.n_trs)
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
