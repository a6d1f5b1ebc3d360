"""A film in plain numbers: for linear baselines, and beside its code for the trunk."""

from __future__ import annotations

import numpy as np

from giblet.types import Aligned, Array
from giblet.video.oriented import CYCLES, ORIENTATIONS, oriented_energy

CELLS, COARSE = (9, 16), (3, 5)
"""Rows and columns of maps of brightness, and of orientation."""
STILLS = 5
"""Frames of a TR whose orientations are looked at, evenly spaced."""
FILTERS = len(CYCLES) * ORIENTATIONS
GROUPS = (3 * CELLS[0] * CELLS[1], 3, 6 + FILTERS + len(CYCLES), FILTERS * COARSE[0] * COARSE[1])
"""Columns of maps of brightness and change, of colour, of the picture as a whole, and of maps of orientation."""


def film_summary(aligned: Aligned) -> Array:
    """The picture in plain numbers, `[T, 636]` float32, zero without frames; in the groups of `GROUPS`:

    - mean and SD over time of the luma in 9x16 cells, and log energy of the frame differences in each;
    - mean colour;
    - of the whole picture: contrast of luma and of the colours, mean luma, log energy of frame differences, of spatial
      gradients, and of the first over the second (speed: Horn & Schunck 1981, doi:10.1016/0004-3702(81)90024-2), of
      oriented filters and, of each scale, of all orientations;
    - log energy of oriented filters in 3x5 cells.

    From every second pixel of frames at least 45 high. Read TR by TR.
    """
    values, step = aligned.features.values, 1 + (aligned.features.values.shape[1] >= 5 * CELLS[0])
    out = [
        _summary_row(np.asarray(values[aligned.places(slice(t, t + 1)), ::step, ::step]))
        for t in range(aligned.grid.n_trs)
    ]
    return np.stack(out) if out else np.zeros((0, sum(GROUPS)), np.float32)


def _summary_row(x: Array) -> Array:
    """One TR of frames, [F, h, w, 3], as [P]."""
    if len(x) == 0:
        return np.zeros(sum(GROUPS), np.float32)
    x = x if x.dtype == np.uint8 else x * np.float32(255)
    luma = x[..., 0] * np.float32(0.299) + x[..., 1] * np.float32(0.587) + x[..., 2] * np.float32(0.114)
    mean = _cells(luma, *CELLS)
    change = np.square(np.diff(luma, axis=0)) if len(x) > 1 else np.zeros((1, *luma.shape[1:]), np.float32)
    stills = luma[np.linspace(0, len(luma) - 1, min(STILLS, len(luma))).round().astype(int)]
    energy = oriented_energy(stills).mean(0)
    whole = energy.mean((1, 2))
    maps = [mean.mean(0), mean.std(0), np.log1p(_cells(change, *CELLS).mean(0))]
    striped = [np.log1p(e) for e in (whole, whole.reshape(len(CYCLES), -1).mean(1), _cells(energy, *COARSE))]
    parts = [*maps, x.mean((0, 1, 2)), _as_a_whole(x, luma, change), *striped]
    return np.concatenate([np.ravel(p) for p in parts]).astype(np.float32)


def _as_a_whole(x: Array, luma: Array, change: Array) -> Array:
    """Contrast of luma and of the colours, mean luma, log energy of change in time and in space, and their ratio."""
    slope = sum(float(np.square(np.diff(luma, axis=a)).mean()) if luma.shape[a] > 1 else 0.0 for a in (1, 2))
    moving, edges = np.log1p(float(change.mean())), np.log1p(slope)
    return np.array([luma.std((1, 2)).mean(), x.std((1, 2)).mean(), luma.mean(), moving, edges, moving - edges])


def _cells(x: Array, rows: int, columns: int) -> Array:
    """Means over rows x columns cells of [F, h, w]; a picture smaller than that gives pixels to several cells."""
    for axis, n in ((1, rows), (2, columns)):
        edges = np.arange(n) * x.shape[axis] // n
        width = np.maximum(np.diff(np.append(edges, x.shape[axis])), 1)
        x = np.add.reduceat(x, edges, axis=axis) / width.astype(x.dtype).reshape((-1, 1) if axis == 1 else (-1,))
    return x
