"""A film in plain numbers: for linear baselines, and beside its code for the trunk."""

from __future__ import annotations

import numpy as np

from giblet.types import Aligned, Array
from giblet.video.oriented import CYCLES, ORIENTATIONS, oriented_energy

CELLS, COARSE = (9, 16), (3, 5)
"""Rows and columns of maps of brightness, and of orientation."""
ROWS = 45
"""Frames of a TR are read at this height, or up to twice as high."""
STILLS = 3
"""Frames of a TR whose orientations are looked at, evenly spread."""
FILTERS = len(CYCLES) * ORIENTATIONS
GROUPS = (3 * CELLS[0] * CELLS[1], 3, 5 + FILTERS + len(CYCLES), FILTERS * COARSE[0] * COARSE[1])
"""Columns of maps of brightness and change, of colour, of the picture as a whole, and of maps of orientation."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue (ITU-R BT.601)."""


def film_summary(aligned: Aligned) -> Array:
    """The picture in plain numbers, `[T, 635]` float32, zero without frames.

    Four groups of columns:

    - mean and SD over time of the luma in 9x16 cells, and log energy of the frame differences in each;
    - mean colour;
    - of the whole picture: contrast of luma and of colour, mean luma, log energy of frame differences and of spatial
      gradients, of oriented filters and, of each scale, of all orientations;
    - log energy of oriented filters in 3x5 cells.

    Change is from frame to frame, so it grows with the time between them. Of frames of 90 rows and more every
    second pixel (third, and so on) is read, so that 45 to 89 rows are left; for orientation all are. Read TR by TR.
    """
    out = [_summary_row(aligned, t) for t in range(aligned.grid.n_trs)]
    return np.stack(out) if out else np.zeros((0, sum(GROUPS)), np.float32)


def _summary_row(aligned: Aligned, t: int) -> Array:
    """One TR as [P]."""
    values = aligned.features.values
    step = max(1, values.shape[1] // ROWS)
    x = _levels(values[aligned.places(slice(t, t + 1)), ::step, ::step])
    if len(x) == 0:
        return np.zeros(sum(GROUPS), np.float32)
    luma = x @ LUMA
    mean = _cells(luma, *CELLS)
    change = np.square(np.diff(luma, axis=0)) if len(x) > 1 else np.zeros_like(luma)
    stills, there = aligned.rows(slice(t, t + 1), STILLS)
    energy = oriented_energy(_small(_levels(stills[there]) @ LUMA)).mean(0)
    whole = energy.mean((1, 2))
    maps = [mean.mean(0), mean.std(0), np.log1p(_cells(change, *CELLS).mean(0))]
    striped = [np.log1p(e) for e in (whole, whole.reshape(len(CYCLES), -1).mean(1), _cells(energy, *COARSE))]
    parts = [*maps, x.mean((0, 1, 2)), _as_a_whole(x, luma, change), *striped]
    return np.concatenate([np.ravel(p) for p in parts]).astype(np.float32)


def _levels(x: Array) -> Array:
    """Frames as float32 from 0 to 255; floats are from 0 to 1."""
    return np.asarray(x, np.float32) * np.float32(1 if x.dtype == np.uint8 else 255)


def _as_a_whole(x: Array, luma: Array, change: Array) -> Array:
    """Contrast of luma and of colour (red - green, yellow - blue), mean luma, log energy of change and of slopes."""
    opponents = (x[..., 0] - x[..., 1], (x[..., 0] + x[..., 1]) / 2 - x[..., 2])
    colour = np.sqrt(sum(o.var((1, 2)) for o in opponents)).mean()
    slopes = sum(float(np.square(np.diff(luma, axis=a)).mean()) if luma.shape[a] > 1 else 0.0 for a in (1, 2))
    return np.array([luma.std((1, 2)).mean(), colour, luma.mean(), np.log1p(change.mean()), np.log1p(slopes)])


def _small(x: Array) -> Array:
    """Pictures [F, h, w]; those of at least 90 rows are averaged to 45, of the same shape."""
    height, width = x.shape[1:]
    return _cells(x, ROWS, max(1, round(ROWS * width / height))) if height >= 2 * ROWS else x


def _cells(x: Array, rows: int, columns: int) -> Array:
    """Means over rows x columns cells of [F, h, w]; a picture smaller than that gives pixels to several cells."""
    for axis, n in ((1, rows), (2, columns)):
        edges = np.arange(n) * x.shape[axis] // n
        width = np.maximum(np.diff(np.append(edges, x.shape[axis])), 1)
        x = np.add.reduceat(x, edges, axis=axis) / width.astype(x.dtype).reshape((-1, 1) if axis == 1 else (-1,))
    return x
