"""Which clip was it? A reconstructed clip among the clips of the training and test films, told by their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from giblet.analysis.identification import MIN_DISTANCE_S, bootstrap_interval
from giblet.analysis.scores import Mask, Real
from giblet.analysis.video.pixels import Frames
from giblet.types import Float, Int

MOMENTS = 4
"""Frames of a TR that stand for it, evenly spread."""
SIZE_PX = (16, 9)
SAME = 1e-6
"""Clips whose sketches are closer than this part of their largest value are one clip."""


def sketch(frames: Frames, first: Int, count: Int) -> Real:
    """A few tiny pictures a TR, [N, H, W, 3] -> [T, P]: 4 frames of 16x9 pixels in colour; 0 where a TR has none."""
    import cv2

    out = np.zeros((len(first), MOMENTS, SIZE_PX[1], SIZE_PX[0], 3))
    spread = (np.arange(MOMENTS) + 0.5) / MOMENTS
    for t in np.flatnonzero(count):
        for k, at in enumerate(first[t] + (spread * count[t]).astype(int)):
            frame = np.ascontiguousarray(frames[at], np.float32)
            out[t, k] = cv2.resize(frame, SIZE_PX, interpolation=cv2.INTER_AREA)
    return out.reshape(len(first), -1)


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Clips of `width` TRs that a reconstruction may be told to be.

    `looks` [n, width * P] are sketches minus the mean of the training TRs; clip i begins at TR `start[i]` of run
    `run[i]`; `sought` [q] are the clips of the test blocks.
    """

    looks: Real
    run: Int
    start: Int
    sought: Int
    width: int
    tr_s: float

    def legal(self) -> Mask:
        """Which clips may be mistaken for each sought one, [q, n]: none within 30 s of it in its run, none the same."""
        same_run = self.run[self.sought, None] == self.run
        gap_s = (np.abs(self.start[self.sought, None] - self.start) - self.width) * self.tr_s
        least = SAME * max(float(np.abs(self.looks).max(initial=0)), 1e-12)
        same = np.stack([np.abs(self.looks - self.looks[i]).max(1) <= least for i in self.sought])
        return np.asarray(~(same | (same_run & (gap_s < MIN_DISTANCE_S - 1e-9))))


def retrieve(library: Library, made: Mapping[str, Float], seed: int = 0) -> dict[str, Any]:
    """Name each sought clip from what was made of it: `made` holds [q, width * P] by version, without that mean too.

    The nearest clip is the one whose sketch correlates most with the reconstruction's. `top1` and `top5` are the shares
    of clips found first or among the best five, ties as a fair draw, with 90 % intervals over clips.
    """
    legal = library.legal()
    known, size = _unit(library.looks), 1 + legal.sum(1)
    out: dict[str, Any] = {
        "n_clips": len(library.sought),
        "set_size": float(size.mean()),
        "chance_top1": float(np.mean(1 / size)),
        "chance_top5": float(np.mean(np.minimum(5 / size, 1))),
    }
    for name, looks in made.items():
        top1, top5 = _found(_unit(looks) @ known.T, library.sought, legal)
        out[name] = {
            "top1": float(top1.mean()),
            "top5": float(top5.mean()),
            "top1_interval": list(bootstrap_interval(top1[None], seed=seed)),
            "top5_interval": list(bootstrap_interval(top5[None], seed=seed)),
        }
    return out


def _unit(rows: Float) -> Real:
    """Rows centred and of length 1; a row without contrast is 0."""
    x = np.asarray(rows, np.float64) - rows.mean(1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.where(norm > 1e-9, x / np.where(norm > 1e-9, norm, 1), 0))


def _found(alike: Real, sought: Int, legal: Mask) -> Sequence[Real]:
    """Whether each sought clip is first and among the first five, [q] each."""
    own = np.take_along_axis(alike, sought[:, None], 1)
    better = ((alike > own + 1e-12) & legal).sum(1)
    tied = ((np.abs(alike - own) <= 1e-12) & legal).sum(1)
    return [np.clip((k - better) / (tied + 1), 0, 1) for k in (1, 5)]
