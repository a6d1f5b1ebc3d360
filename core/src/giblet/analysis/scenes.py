"""Clips that nobody could tell apart: of one scene, with the same words, or with the same features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from giblet.analysis.scores import Mask
from giblet.types import Aligned, Float, Int

SAME = 1e-6
"""Features closer than this part of their largest value are the same."""


def tr_texts(aligned: Aligned) -> list[str]:
    """What is written about each TR, [T], in lower case with single blanks; empty where nothing is."""
    texts = aligned.features.attrs.get("texts")
    if not isinstance(texts, list) or len(texts) != len(aligned.features.values):
        return [""] * aligned.grid.n_trs
    spans = zip(aligned.first, aligned.count, strict=True)
    return [" ".join(" ".join(texts[first : first + n]).casefold().split()) for first, n in spans]


def segments(texts: Sequence[str]) -> Int:
    """Number the stretches of TRs with one and the same text, [T]; 0 where there is none."""
    begins = np.array([bool(t) and (i == 0 or t != texts[i - 1]) for i, t in enumerate(texts)], bool)
    return np.where([bool(t) for t in texts], begins.cumsum(), 0).astype(np.int64)


def alike_in_text(texts: Sequence[str], segment: Int, clips: Sequence[slice]) -> Mask:
    """Which clips share an annotated segment or have the same words, [n, n]; `texts` and `segment` are [T]."""
    words = [tuple(dict.fromkeys(t for t in texts[c] if t)) for c in clips]
    scenes = [set(segment[c].tolist()) - {0} for c in clips]
    return np.array(
        [
            [bool(scenes[i] & scenes[j]) or (bool(words[i]) and words[i] == words[j]) for j in range(len(clips))]
            for i in range(len(clips))
        ]
    )


def alike_in_features(target: Float, clips: Sequence[slice]) -> Mask:
    """Which clips of the target [T, D] have the same features, [n, n]; a clip without any is like every other."""
    rows = np.stack([np.asarray(target[c], np.float64).ravel() for c in clips])
    least = SAME * max(float(np.abs(rows).max()), 1e-12)
    alike = np.stack([np.abs(rows - row).max(1) <= least for row in rows])
    empty = np.ptp(rows, axis=1) <= least
    return np.asarray(alike | empty[:, None] | empty[None])
