"""Some frames of each TR, evenly spaced in time: an index into the features, so that nothing is copied."""

from __future__ import annotations

import numpy as np

from giblet.alignment.binning import require_order
from giblet.alignment.grid import tr_index
from giblet.types import Aligned, Features, TRGrid


def bin_spread(features: Features, grid: TRGrid, per_tr: int) -> Aligned:
    """Assign frames to TRs by presentation time, and keep at most `per_tr` of each TR.

    A TR is divided into as many equal parts. Of each, the first frame after its middle is kept, or the last before it;
    a part that no frame falls in gives none, so that no frame is kept twice, whatever the film's rate does.

    Raises
    ------
    DataError
        If presentation times go backwards.
    """
    require_order(features)
    halves = TRGrid(grid.tr_s / (2 * per_tr), 2 * per_tr * grid.n_trs, grid.start_s)
    half = tr_index(features.ticks, features.timebase, halves)
    part = np.unique(half[(half >= 0) & (half < halves.n_trs)] // 2)
    after, stop = np.searchsorted(half, 2 * part + 1), np.searchsorted(half, 2 * part + 2)
    edges = np.searchsorted(part // per_tr, np.arange(grid.n_trs + 1)).astype(np.int64)
    kept = np.minimum(after, stop - 1).astype(np.int64)
    return Aligned(features, grid, edges[:-1], np.diff(edges), kept)
