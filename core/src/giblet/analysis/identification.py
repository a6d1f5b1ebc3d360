"""Which clip was it? Decoded features against the clip's own and those of clips far away in the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from giblet.analysis.nulls import p_value
from giblet.analysis.scores import Mask, Real
from giblet.analysis.surrogates import Complex, surrogate_turns, turned
from giblet.errors import DataError
from giblet.types import Float

Interval = tuple[float, float]
CLIP_S = 9.0
MIN_DISTANCE_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """How often a clip is found, as fractions, with the chance and the set size that they must be read against.

    `p` tests `two_way` against the same decoding out of step (`null_kind`). `per_clip` [3, n] holds each clip's top-1,
    top-5 and two-way score; the intervals resample clips, being of one decoding (`identify_each` has people too).
    """

    top1: float
    top5: float
    two_way: float
    chance_top1: float
    chance_top5: float
    set_size: float
    n_clips: int
    p: float
    null_kind: str
    top1_interval: Interval
    two_way_interval: Interval
    per_clip: Real


def clip_slices(blocks: Sequence[slice], clip_s: float, tr_s: float) -> list[slice]:
    """Non-overlapping clips of `clip_s` seconds (to the nearest TR, at least one) inside the blocks."""
    width = max(round(clip_s / tr_s), 1)
    return [slice(t, t + width) for b in blocks for t in range(b.start, b.stop - width + 1, width)]


def legal_distractors(clips: Sequence[slice], runs: Sequence[slice], tr_s: float, min_distance_s: float) -> Mask:
    """Which clips lie in the same run with at least `min_distance_s` between their nearest ends, [n, n]."""
    starts, stops = np.array([c.start for c in clips]), np.array([c.stop for c in clips])
    run = np.searchsorted([r.start for r in runs], starts, side="right")
    apart = np.maximum(starts[None] - stops[:, None], starts[:, None] - stops[None]) * tr_s
    return np.asarray((run[:, None] == run[None]) & (apart >= min_distance_s - 1e-9))


def identify(
    decoded: Float,
    target: Float,
    blocks: Sequence[slice],
    tr_s: float,
    clip_s: float = CLIP_S,
    min_distance_s: float = MIN_DISTANCE_S,
    exclude: Mask | None = None,
    runs: Sequence[slice] | None = None,
    n_shifts: int = 1000,
    seed: int = 0,
) -> Identification:
    """Find each clip of the target [T, D] from the decoded features [T, D] by correlation.

    Give features standardised on the training TRs. `blocks` are the test blocks, `runs` the runs that they lie in
    (default: each block its own run), in order. `exclude` [n, n] is true where clip j may not be a distractor of
    clip i: an identical text, the same scene; clips are those of `clip_slices`. Ties count as a fair draw.

    Raises
    ------
    DataError
        If no clip has a legal distractor.
    """
    clips = clip_slices(blocks, clip_s, tr_s)
    legal = _legal(clips, blocks if runs is None else runs, tr_s, min_distance_s, exclude)
    known = _unit(target, clips)
    per_clip = _score(_unit(decoded, clips) @ known.T, legal)
    kind, turns = surrogate_turns(blocks, tr_s, min_distance_s, n_shifts, seed)
    moved = (_moved(decoded, blocks, [turn[i] for turn in turns]) for i in range(len(turns[0])))
    null = np.array([_score(_unit(x, clips) @ known.T, legal)[2].mean() for x in moved])
    size = 1 + legal.sum(1)[legal.any(1)]
    top1, top5, two_way = (float(x) for x in per_clip.mean(1))
    return Identification(
        top1=top1,
        top5=top5,
        two_way=two_way,
        chance_top1=float(np.mean(1 / size)),
        chance_top5=float(np.mean(np.minimum(5 / size, 1))),
        set_size=float(size.mean()),
        n_clips=len(size),
        p=p_value(two_way, null),
        null_kind=kind,
        top1_interval=bootstrap_interval(per_clip[:1], seed=seed),
        two_way_interval=bootstrap_interval(per_clip[2:], seed=seed),
        per_clip=per_clip,
    )


def identify_each(
    decoded: Sequence[Float],
    target: Float,
    blocks: Sequence[slice],
    tr_s: float,
    clip_s: float = CLIP_S,
    min_distance_s: float = MIN_DISTANCE_S,
    exclude: Mask | None = None,
) -> Real:
    """Top-1, top-5 and two-way score of each clip from each person's own decoding [T, D], [3, S, n].

    Clips and distractors are those of `identify`; `bootstrap_interval` of one of the three gives its interval.

    Raises
    ------
    DataError
        If no clip has a legal distractor.
    """
    clips = clip_slices(blocks, clip_s, tr_s)
    legal = _legal(clips, blocks, tr_s, min_distance_s, exclude)
    known = _unit(target, clips)
    return np.stack([_score(_unit(x, clips) @ known.T, legal) for x in decoded], axis=1)


def _legal(
    clips: Sequence[slice], runs: Sequence[slice], tr_s: float, min_distance_s: float, exclude: Mask | None
) -> Mask:
    """Which clips may be distractors of which, [n, n]."""
    legal = legal_distractors(clips, runs, tr_s, min_distance_s)
    if exclude is not None:
        legal &= ~exclude
    if not legal.any():
        raise DataError(
            f"no clip has a different one {min_distance_s} s away in its run to tell it from; hold out a longer test "
            "block"
        )
    return legal


def _moved(x: Float, blocks: Sequence[slice], turns: Sequence[Complex]) -> Real:
    """A surrogate of x [T, D], block by block."""
    out = np.zeros(x.shape)
    for block, turn in zip(blocks, turns, strict=True):
        out[block] = turned(x, block, turn)
    return out


def _unit(x: Float, clips: Sequence[slice]) -> Real:
    """Clips flattened, centred and scaled to length 1, [n, width * D]; a constant clip is 0."""
    rows = np.stack([np.asarray(x[c], np.float64).ravel() for c in clips])
    rows -= rows.mean(1, keepdims=True)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.where(norm > 1e-12, rows / np.where(norm > 1e-12, norm, 1), 0))


def _score(similarity: Real, legal: Mask) -> Real:
    """Top-1, top-5 and two-way score of each clip that has a distractor, [3, n], ties as a fair draw."""
    own = np.diag(similarity)[:, None]
    better = ((similarity > own + 1e-12) & legal).sum(1)
    tied = ((np.abs(similarity - own) <= 1e-12) & legal).sum(1)
    others = legal.sum(1)
    top = [np.clip((k - better) / (tied + 1), 0, 1) for k in (1, 5)]
    two_way = 1 - (better + tied / 2) / np.maximum(others, 1)
    return np.stack([*top, two_way])[:, others > 0]


def bootstrap_interval(per_clip: Real, level: float = 0.9, block: int = 4, n: int = 2000, seed: int = 0) -> Interval:
    """Interval of the mean of per_clip [S, n] by resampling people and blocks of neighbouring clips together.

    Circular block bootstrap (Politis & Romano 1992); a block of 4 clips of 9 s spans the hemodynamic response.
    """
    rng = np.random.default_rng(seed)
    people, clips = per_clip.shape
    size = min(block, clips)
    starts = rng.integers(0, clips, (n, -(-clips // size)))
    index = ((starts[:, :, None] + np.arange(size)) % clips).reshape(n, -1)[:, :clips]
    who = rng.integers(0, people, (n, people))
    means = np.array([per_clip[w][:, i].mean() for w, i in zip(who, index, strict=True)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
