"""Native samples to TRs and back: every native frame belongs to exactly one TR, and comes back once, in order."""

from __future__ import annotations

from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from giblet.alignment.grid import tr_index
from giblet.errors import DataError
from giblet.types import Aligned, Array, Features, Int, TRGrid

Gap = Literal["empty", "forward", "nearest"]


def bin_frames(features: Features, grid: TRGrid) -> Aligned:
    """Assign each frame to the TR that its presentation time falls in; TRs without frames get count 0.

    Raises
    ------
    DataError
        If presentation times go backwards.
    """
    require_order(features)
    edges = np.searchsorted(tr_index(features.ticks, features.timebase, grid), np.arange(grid.n_trs + 1))
    return Aligned(features, grid, edges[:-1].astype(np.int64), np.diff(edges).astype(np.int64))


def require_order(features: Features) -> None:
    """Refuse presentation times that go backwards."""
    if np.any(np.diff(features.ticks) < 0):
        raise DataError("presentation times go backwards; sort the samples by time before aligning them")


def event_overlap(features: Features, grid: TRGrid) -> NDArray[np.float64]:
    """Seconds that each event shares with each TR, [T, N]; an event without duration counts at its onset."""
    onset = features.onset_s[None, :]
    assert features.durations is not None
    stop = onset + np.maximum(features.durations[None, :] * float(features.timebase), 1e-6)
    start = grid.onsets_s()[:, None]
    shared = np.minimum(stop, start + float(grid.tr_s)) - np.maximum(onset, start)
    return np.maximum(shared, 0.0)


def _fill(shared: NDArray[np.float64], features: Features, grid: TRGrid, gap: Gap) -> NDArray[np.float64]:
    """Give TRs that no event covers the event that `gap` names: the last one before, or the nearest in time."""
    empty = np.flatnonzero(shared.sum(1) == 0)
    if gap == "empty" or len(features.values) == 0:
        return shared
    assert features.durations is not None
    middle = grid.onsets_s()[empty] + float(grid.tr_s) / 2
    stop = features.onset_s + features.durations * float(features.timebase)
    before = middle[:, None] - stop[None, :]
    away = np.maximum(before, features.onset_s[None, :] - middle[:, None])
    if gap == "forward":
        away = np.where(before >= 0, before, np.inf)
    chosen, found = away.argmin(1), np.isfinite(away.min(1))
    shared[empty[found], chosen[found]] = 1.0
    return shared


def bin_events(
    features: Features, grid: TRGrid, gap: Gap = "empty", several: Literal["pool", "longest"] = "pool"
) -> Aligned:
    """One row a TR from the events that cover it: their mean weighted by overlap, or the one that covers it longest.

    `gap` decides what a TR without any event gets: nothing (masked), the last event before it, or the nearest one.
    """
    weights = _fill(event_overlap(features, grid), features, grid, gap)
    covered = weights.sum(1) > 0
    if several == "longest" or features.values.dtype.kind in "iu":
        values = features.values[weights[covered].argmax(1)]
    else:
        share = weights[covered] / weights[covered].sum(1, keepdims=True)
        values = np.tensordot(share, features.values, axes=1).astype(features.values.dtype)
    count = covered.astype(np.int64)
    # The first tick inside each TR, so that the row stays in its TR whatever the timebase.
    onsets = [ceil((grid.start_s + int(k) * grid.tr_s) / features.timebase) for k in np.flatnonzero(covered)]
    ticks = np.array(onsets, np.int64)
    step = np.full(len(ticks), round(grid.tr_s / features.timebase), np.int64)
    binned = Features(values, ticks, features.timebase, step, _attrs(features, weights, covered))
    return Aligned(binned, grid, np.cumsum(count) - count, count)


def _attrs(features: Features, weights: NDArray[np.float64], covered: NDArray[np.bool_]) -> dict[str, object]:
    """Attributes of the binned events: per-event lists follow the event that covers each TR longest."""
    dominant = weights[covered].argmax(1) if len(features.values) else np.zeros(0, np.int64)
    per_event = {k: v for k, v in features.attrs.items() if isinstance(v, list) and len(v) == len(features.values)}
    return {**features.attrs, **{k: [v[i] for i in dominant] for k, v in per_event.items()}}


def bin_features(features: Features, grid: TRGrid) -> Aligned:
    """Bin by what the features are: events by overlap, frames by presentation time."""
    return bin_frames(features, grid) if features.durations is None else bin_events(features, grid)


def unbin(padded: Array, count: Int) -> Array:
    """Undo binning: [T, F, *S] with `count[t]` real frames in TR t, to the native [N, *S], once each, in order."""
    return padded[np.arange(padded.shape[1]) < count[:, None]]


def resample(values: Array, n: int, *, discrete: bool) -> Array:
    """Resample [T, *S] to n rows over the same span: linear for continuous values, nearest for discrete ones.

    What a value is must be declared; it is never guessed from the dtype.
    """
    if len(values) == 0:
        raise DataError("cannot resample an empty series")
    position = (np.arange(n) + 0.5) * len(values) / n - 0.5
    position = np.clip(position, 0, len(values) - 1)
    if discrete:
        return values[np.floor(position + 0.5).astype(np.int64).clip(0, len(values) - 1)]
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    part = (position - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - part) + values[high] * part
