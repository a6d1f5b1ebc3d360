"""All runs laid end to end, so that a score is computed once over everything it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from giblet.data.dataset import Timeline, block_trs
from giblet.data.split import Block, Label
from giblet.errors import DataError
from giblet.model import Scans
from giblet.model.losses import MIN_TRS_FOR_R
from giblet.types import Float, Int

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Joined:
    """Runs laid end to end: where each begins and ends, and which TRs train, validate and test."""

    runs: list[slice]
    train: Int
    validation: Int
    test: list[slice]
    tr_s: float

    @property
    def test_trs(self) -> Int:
        """The test TRs."""
        return np.concatenate([np.arange(b.start, b.stop) for b in self.test])


def join(timelines: Sequence[Timeline]) -> Joined:
    """Lay runs end to end."""
    starts = np.cumsum([0, *(t.grid.n_trs for t in timelines)])
    runs = [slice(int(a), int(b)) for a, b in pairwise(starts)]

    def trs(label: Label) -> Int:
        return np.concatenate([block_trs(t.of(label)) + r.start for t, r in zip(timelines, runs, strict=True)])

    test = [
        slice(b.start + r.start, b.stop + r.start) for t, r in zip(timelines, runs, strict=True) for b in t.of("test")
    ]
    return Joined(runs, trs("train"), trs("validation"), test, float(timelines[0].grid.tr_s))


def joined_scans(timelines: Sequence[Timeline], subject: str) -> Matrix:
    """One person's cleaned BOLD over all runs, [T, V]; zero in runs without them."""
    voxels = next(t.scans[subject].shape[1] for t in timelines if subject in t.scans)
    return np.concatenate([t.scans.get(subject, np.zeros((t.grid.n_trs, voxels), np.float32)) for t in timelines])


def joined_predictions(predicted: Scans, subject: str) -> Matrix:
    """One person's predicted BOLD over all runs, [T, V]."""
    return np.concatenate([p[subject] for p in predicted])


def joined_codes(tables: Sequence[dict[str, Matrix]]) -> dict[str, Matrix]:
    """Each modality's table over all runs, [T, P]."""
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def joined_scanned(timelines: Sequence[Timeline], subject: str) -> NDArray[np.bool_]:
    """Which TRs of all runs were measured in one person, [T]."""
    return np.concatenate([t.scanned.get(subject, np.zeros(t.grid.n_trs, bool)) for t in timelines])


def scored_people(timelines: Sequence[Timeline], subjects: Sequence[str]) -> list[str]:
    """The people of whom enough test TRs were measured for a correlation."""
    trs = join(timelines).test_trs
    return [s for s in subjects if joined_scanned(timelines, s)[trs].sum() >= MIN_TRS_FOR_R]


def scored_blocks(timelines: Sequence[Timeline], subjects: Sequence[str]) -> list[tuple[int, Block]]:
    """The test blocks, each with the number of its run, in which anything was measured of somebody who is scored."""
    people = set(scored_people(timelines, subjects))
    return [(i, b) for i, t in enumerate(timelines) for b in t.of("test") if people.intersection(t.measured(b))]


def require_people(timelines: Sequence[Timeline], subjects: Sequence[str]) -> list[str]:
    """The people who can be scored.

    Raises
    ------
    DataError
        If of nobody enough test TRs were measured.
    """
    if people := scored_people(timelines, subjects):
        return people
    raise DataError(
        f"of nobody {MIN_TRS_FOR_R} test TRs or more were measured, so nothing could be scored; give longer scans, or "
        "another split (split.train, or a [split] table in study.toml)"
    )


def mean_of_present(
    rows: Mapping[str, Matrix], valid: Mapping[str, NDArray[np.bool_]], who: Sequence[str]
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Mean [T, V] over those who were measured at each TR, and where anybody was [T]."""
    there = np.stack([valid[s] for s in who])
    total = sum(rows[s] * valid[s][:, None] for s in who)
    return np.asarray(total / np.maximum(there.sum(0), 1)[:, None], np.float32), np.asarray(there.any(0))


def without_confounds(timelines: Sequence[Timeline], people: Sequence[str], x: Float) -> Float:
    """Predictions [T, V] over all runs, rid of what confounds took out of the BOLD of each block.

    For several people it is, as of their scans, the mean over those who were measured at a TR.
    """
    if not any(t.confounds for t in timelines):
        return x
    starts = [r.start for r in join(timelines).runs]
    out = x.copy()
    for begin, t in zip(starts, timelines, strict=True):
        for subject, weight in _shares(t, people).items():
            for (start, stop), v in t.confounds.get(subject, {}).items():
                rows = slice(begin + start, begin + stop)
                out[rows] -= weight[start:stop, None] * (v @ (v.T @ x[rows]))
    return out


def _shares(t: Timeline, people: Sequence[str]) -> dict[str, Matrix]:
    """What of the mean over people is each one's at every TR, [T]; equal where nobody was measured."""
    nobody = np.zeros(t.grid.n_trs, bool)
    there = {s: t.scanned.get(s, nobody) for s in people}
    n = np.sum(list(there.values()), axis=0)
    return {s: np.where(n > 0, m / np.maximum(n, 1), 1 / len(people)).astype(np.float32) for s, m in there.items()}


def joined_cleaning(timelines: Sequence[Timeline], subject: str | None = None) -> Callable[[Float], Float]:
    """What takes out of columns [T, P] over all runs what cleaning took out of somebody's BOLD in each block."""
    starts = [r.start for r in join(timelines).runs]

    def clean(x: Float) -> Float:
        out = x.copy()
        for begin, t in zip(starts, timelines, strict=True):
            for block, c in t.cleaned_blocks(subject):
                rows = slice(begin + block.start, begin + block.stop)
                out[rows] = x[rows] - c.out @ (c.into @ x[rows])
        return out

    return clean
