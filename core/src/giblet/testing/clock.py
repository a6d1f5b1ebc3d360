"""Checks of `align`: time is never stretched, no frame is lost or doubled, and what is not there is masked."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from giblet.testing.case import Case, kept
from giblet.testing.drawing import for_all, grids
from giblet.testing.verdict import require
from giblet.types import Array, Features, TRGrid

LOST = "align lost, doubled or moved frames; each belongs to the TR that its time falls in"


def check_align_conserves_frames(case: Case) -> None:
    """Each native frame lies in exactly one TR, the one of its time, and unbinning returns all, once, in order.

    Where `align` keeps some of them only, this holds for those, and each TR that has frames keeps at least one. Before
    or behind the numbers of a frame it may put what `attrs` says of it.
    Events may cover several TRs: a TR that an event covers is never masked.
    """
    from giblet.alignment import tr_index, unbin
    from giblet.alignment.binning import event_overlap

    features = case.features

    def frames(grid: TRGrid) -> None:
        aligned = case.fitted.align(features, grid)
        k = tr_index(features.ticks, features.timebase, grid)
        inside = np.flatnonzero((k >= 0) & (k < grid.n_trs))
        listed = inside if aligned.kept is None else aligned.kept
        require(bool(np.all(np.diff(listed) > 0)) and set(k[listed]) == set(k[inside]), LOST)
        require(np.array_equal(aligned.count, np.bincount(k[listed], minlength=grid.n_trs)), LOST)
        back = unbin(aligned.rows(slice(None))[0], aligned.count)
        require(_holds(back, features.values[listed]), LOST)

    def events(grid: TRGrid) -> None:
        covered = event_overlap(features, grid).sum(1) > 0
        valid = case.fitted.align(features, grid).valid
        require(not (covered & ~valid).any(), "align lost events: a TR that one covers has none")

    law = frames if features.durations is None else events
    law(case.grid)
    for_all(law, 25, grid=grids())


def _holds(rows: Array, frames: Array) -> bool:
    """Whether rows [n, *S'] are these frames [n, *S], or have other numbers before or behind theirs."""
    if rows.ndim != frames.ndim or rows.ndim < 2:
        return np.array_equal(rows, frames)
    width = frames.shape[-1]
    return any(np.array_equal(part, frames) for part in (rows[..., :width], rows[..., -width:]))


def check_shifting_the_clock_shifts_the_rows(case: Case) -> None:
    """A grid that starts k TRs later gives the same rows, k TRs earlier."""
    from hypothesis import strategies as st

    features = case.features

    def law(grid: TRGrid, k: int) -> None:
        long = TRGrid(grid.tr_s, grid.n_trs + k, grid.start_s)
        late = TRGrid(grid.tr_s, grid.n_trs, grid.start_s + k * grid.tr_s)
        want, got = (case.fitted.align(features, g) for g in (long, late))
        moved = "align depends on more than the time between grid and samples; bin by grid.start_s"
        require(np.array_equal(got.count, want.count[k:]), moved)
        require(np.array_equal(got.rows(slice(None), want.frames)[0], want.rows(slice(k, None))[0]), moved)

    for_all(law, 15, grid=grids(), k=st.integers(1, 4))


def check_missing_time_is_masked(case: Case) -> None:
    """TRs before, after and between the samples have no frame, and leave the others as they were."""
    features, g = case.features, case.grid
    first, last = _span_s(features)
    away = 2 + (last - first) // g.tr_s
    for start_s in (first - (away + g.n_trs) * g.tr_s, last + away * g.tr_s):
        count = case.fitted.align(features, TRGrid(g.tr_s, g.n_trs, start_s)).count
        require(not count.any(), "align made frames for TRs before or after the recording; leave their count 0")
    hole = TRGrid(g.tr_s, 1, g.start_s + g.tr_s)
    lost = _touches(features, hole)
    before, after = (case.fitted.align(f, g) for f in (features, kept(features, ~lost)))
    require(after.count[1] == 0, "align filled a TR that has no samples; leave its count 0")
    if features.durations is None:
        others = np.arange(g.n_trs) != 1
        same = np.array_equal(after.count[others], before.count[others])
        require(same, "samples that are missing in one TR change others")


def _span_s(features: Features) -> tuple[Fraction, Fraction]:
    """Where the first sample begins and the last one ends."""
    length = 0 if features.durations is None else int(features.durations.max())
    return int(features.ticks[0]) * features.timebase, (int(features.ticks[-1]) + length) * features.timebase


def _touches(features: Features, grid: TRGrid) -> np.ndarray:
    """Which samples a grid of one TR holds, or which events reach into it, [N]."""
    from giblet.alignment import tr_index
    from giblet.alignment.binning import event_overlap

    if features.durations is None:
        return np.asarray(tr_index(features.ticks, features.timebase, grid) == 0)
    return np.asarray(event_overlap(features, grid)[0] > 0)
