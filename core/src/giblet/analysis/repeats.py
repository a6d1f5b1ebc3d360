"""The same seconds of a film, shown to one person more than once: how reliable each voxel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from giblet.analysis.ceilings import Ceiling, repeat_ceiling
from giblet.analysis.joined import Matrix, join
from giblet.data.dataset import Timeline
from giblet.data.shared_films import Films
from giblet.model.losses import MIN_TRS_FOR_R
from giblet.types import Int


def repeated_trs(timelines: Sequence[Timeline], films: Films, subject: str) -> tuple[Int, Int]:
    """Pairs of test TRs of all runs, laid end to end, at which a person was shown the same seconds, [n] each.

    Only those that were measured both times count. Runs whose TRs begin between each other's have none.
    """
    starts = [r.start for r in join(timelines).runs]
    mine = [(at, t) for at, t in zip(starts, timelines, strict=True) if subject in t.scans]
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for (at, t), (other_at, other) in combinations(mine, 2):
        later = (other.grid.start_s - t.grid.start_s) / t.grid.tr_s
        if later.denominator == 1 and films.get(t.run, frozenset()) & films.get(other.run, frozenset()):
            trs, again = _measured(t, subject), _measured(other, subject)
            both = np.intersect1d(trs, again + int(later))
            first.append(at + both)
            second.append(other_at + both - int(later))
    return np.concatenate(first), np.concatenate(second)


def _measured(t: Timeline, subject: str) -> Int:
    trs = t.trs("test")
    return trs[t.scanned[subject][trs]]


def repeat_ceilings(
    timelines: Sequence[Timeline], films: Films, y: Mapping[str, Matrix], people: Sequence[str]
) -> Ceiling | None:
    """Each person's ceiling [S, V] from repeats in scans [T, V]; None where somebody has too few, or other voxels."""
    pairs = {s: repeated_trs(timelines, films, s) for s in people}
    fewest = min(len(first) for first, _ in pairs.values())
    if fewest < MIN_TRS_FOR_R or len({y[s].shape[1] for s in people}) > 1:
        return None
    found = [repeat_ceiling(np.stack([y[s][trs] for trs in pairs[s]])) for s in people]
    return Ceiling("repeats", np.stack(found), f"sqrt(repeat reliability) over at least {fewest} test TRs shown twice")
