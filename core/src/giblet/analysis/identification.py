"""Which clip was it? Decoded features against the clip's own and those of clips far away in the same test block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from giblet.analysis.nulls import p_value
from giblet.analysis.scores import Mask, Real, mean_known
from giblet.analysis.surrogates import SHIFTED, Complex, surrogate_turns, turned
from giblet.errors import DataError
from giblet.types import Float

Interval = tuple[float, float]
CLIP_S = 9.0
MIN_DISTANCE_S = 30.0
CONSTANT = 1e-12
"""Measured TRs that hold no more than this share of a clip's variance are constant."""


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


def legal_distractors(clips: Sequence[slice], blocks: Sequence[slice], tr_s: float, min_distance_s: float) -> Mask:
    """Which clips lie in the same block with at least `min_distance_s` between their nearest ends, [n, n]."""
    starts, stops = np.array([c.start for c in clips]), np.array([c.stop for c in clips])
    block = np.searchsorted([b.start for b in blocks], starts, side="right")
    apart = np.maximum(starts[None] - stops[:, None], starts[:, None] - stops[None]) * tr_s
    return np.asarray((block[:, None] == block[None]) & (apart >= min_distance_s - 1e-9))


def identify(
    decoded: Float,
    target: Float,
    blocks: Sequence[slice],
    tr_s: float,
    clip_s: float = CLIP_S,
    min_distance_s: float = MIN_DISTANCE_S,
    exclude: Mask | None = None,
    n_shifts: int = 1000,
    seed: int = 0,
    valid: Mask | None = None,
) -> Identification:
    """Find each clip of the target [T, D] from the decoded features [T, D] by correlation.

    Give features standardised on the training TRs. `blocks` are the test blocks, in order; distractors are of the same
    block. `exclude` [n, n] is true where clip j may not be a distractor of clip i: an identical text, the same scene;
    clips are those of `clip_slices`. Ties count as a fair draw. Clips are compared over the `valid` TRs [T] of what was
    decoded (None: all were measured), which circular shifts take along; a clip without any is not sought, but others
    are still told from it.

    Raises
    ------
    DataError
        If no clip that was measured has a legal distractor.
    """
    clips = clip_slices(blocks, clip_s, tr_s)
    legal = _legal(clips, blocks, tr_s, min_distance_s, exclude)
    there = np.ones(len(decoded), bool) if valid is None else valid
    every = _score(decoded, there, target, clips, legal)
    told = ~np.isnan(every[2])
    if not told.any():
        raise DataError("no clip that another one is far enough from was measured; hold out another test block")
    kind, turns = surrogate_turns(blocks, tr_s, min_distance_s, n_shifts, seed)
    null = np.zeros(len(turns[0]))
    for i in range(len(null)):
        turn = [t[i] for t in turns]
        along = _moved(there.astype(float), blocks, turn) > 0.5 if kind == SHIFTED else there
        null[i] = mean_known(_score(_moved(decoded, blocks, turn), along, target, clips, legal)[2])
    size, per_clip = 1 + legal.sum(1)[legal.any(1)][told], every[:, told]
    top1, top5, two_way = (float(x) for x in per_clip.mean(1))
    return Identification(
        top1=top1,
        top5=top5,
        two_way=two_way,
        chance_top1=float(np.mean(1 / size)),
        chance_top5=float(np.mean(np.minimum(5 / size, 1))),
        set_size=float(size.mean()),
        n_clips=len(size),
        p=p_value(two_way, null[~np.isnan(null)]),
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
    valid: Sequence[Mask] | None = None,
) -> Real:
    """Top-1, top-5 and two-way score of each clip from each person's own decoding [T, D], [3, S, n].

    Clips and distractors are those of `identify`; NaN where a person was not measured, by their `valid` TRs [T] (None:
    all were). `bootstrap_interval` of one of the three gives its interval.

    Raises
    ------
    DataError
        If no clip has a legal distractor.
    """
    clips = clip_slices(blocks, clip_s, tr_s)
    legal = _legal(clips, blocks, tr_s, min_distance_s, exclude)
    masks = [np.ones(len(target), bool)] * len(decoded) if valid is None else valid
    return np.stack([_score(x, m, target, clips, legal) for x, m in zip(decoded, masks, strict=True)], axis=1)


def _legal(
    clips: Sequence[slice], blocks: Sequence[slice], tr_s: float, min_distance_s: float, exclude: Mask | None
) -> Mask:
    """Which clips may be distractors of which, [n, n]."""
    legal = legal_distractors(clips, blocks, tr_s, min_distance_s)
    if exclude is not None:
        legal &= ~exclude
    if not legal.any():
        raise DataError(
            f"no clip has a different one {min_distance_s} s away in its test block to tell it from; hold out a longer "
            "test block"
        )
    return legal


def _moved(x: Float, blocks: Sequence[slice], turns: Sequence[Complex]) -> Real:
    """A surrogate of x [T, D], block by block."""
    out = np.zeros(x.shape)
    for block, turn in zip(blocks, turns, strict=True):
        out[block] = turned(x, block, turn)
    return out


def _unit(x: Float, there: Mask, clips: Sequence[slice]) -> Real:
    """Clips centred and scaled to length 1 over the TRs that are `there` [T], 0 elsewhere, [n, width, D].

    A constant clip is 0.
    """
    rows, kept = (np.stack([np.asarray(a[c], np.float64) for c in clips]) for a in (x, there))
    flat = (rows * kept[..., None]).reshape(len(rows), -1)
    mean = flat.sum(1) / np.maximum(kept.sum(1) * rows.shape[2], 1)
    rows = (rows - mean[:, None, None]) * kept[..., None]
    norm = np.linalg.norm(rows.reshape(len(rows), -1), axis=1)[:, None, None]
    return np.asarray(np.where(norm > 1e-12, rows / np.where(norm > 1e-12, norm, 1), 0))


def _similarity(decoded: Float, there: Mask, target: Float, clips: Sequence[slice]) -> Real:
    """Correlation of decoded clips with those of the target over what of the former is `there` [T], [n, n]."""
    known, kept = _unit(target, np.ones(len(target), bool), clips), np.stack([there[c] for c in clips]).astype(float)
    both = _unit(decoded, there, clips).reshape(len(clips), -1) @ known.reshape(len(clips), -1).T
    count = np.maximum(kept.sum(1, keepdims=True) * known.shape[2], 1)
    variance = kept @ np.square(known).sum(2).T - (kept @ known.sum(2).T) ** 2 / count
    return np.asarray(np.where(variance > CONSTANT, both / np.sqrt(np.maximum(variance, CONSTANT)), 0))


def _score(decoded: Float, there: Mask, target: Float, clips: Sequence[slice], legal: Mask) -> Real:
    """Top-1, top-5 and two-way score of each clip that has a distractor, [3, n], ties as a fair draw.

    NaN where nothing of a clip is `there`.
    """
    similarity = _similarity(decoded, there, target, clips)
    own = np.diag(similarity)[:, None]
    better = ((similarity > own + 1e-12) & legal).sum(1)
    tied = ((np.abs(similarity - own) <= 1e-12) & legal).sum(1)
    others = legal.sum(1)
    top = [np.clip((k - better) / (tied + 1), 0, 1) for k in (1, 5)]
    two_way = 1 - (better + tied / 2) / np.maximum(others, 1)
    measured = np.array([there[c].any() for c in clips])
    return np.where(measured, np.stack([*top, two_way]), np.nan)[:, others > 0]


def bootstrap_interval(per_clip: Real, level: float = 0.9, block: int = 4, n: int = 2000, seed: int = 0) -> Interval:
    """Interval of the mean of per_clip [S, n], scores of 0 to 1, by resampling people and blocks of clips together.

    What is NaN was not measured, and means are without it. Circular block bootstrap (Politis & Romano 1992); a block of
    4 clips of 9 s spans the hemodynamic response. Where all are 0, or all are 1, there is nothing to resample: then it
    is the exact interval of as many clips (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404).
    """
    known, tail = per_clip[~np.isnan(per_clip)], (1 - level) / 2
    if known.size and (known == known.flat[0]).all() and known.flat[0] in (0, 1):
        bound = tail ** (1 / int((~np.isnan(per_clip)).any(0).sum()))
        return (bound, 1.0) if known.flat[0] else (0.0, 1 - bound)
    rng = np.random.default_rng(seed)
    people, clips = per_clip.shape
    size = min(block, clips)
    starts = rng.integers(0, clips, (n, -(-clips // size)))
    index = ((starts[:, :, None] + np.arange(size)) % clips).reshape(n, -1)[:, :clips]
    who = rng.integers(0, people, (n, people))
    means = np.array([mean_known(per_clip[w][:, i]) for w, i in zip(who, index, strict=True)])
    low, high = np.quantile(means[~np.isnan(means)], [tail, 1 - tail])
    return float(low), float(high)
