"""How well any model could do: each ceiling belongs to one target, on the same TRs after the same cleaning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.analysis.scores import Mask, Real, pearson
from giblet.errors import DataError
from giblet.types import Float, Int

MIN_PEOPLE = 6
COLUMNS = 256
"""Voxels at once; more only cost memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Ceiling:
    """A ceiling in units of r; `values` is [V] for a group or a repeated subject, [S, V] for `loo_isc`, or None."""

    kind: str
    values: Real | None
    note: str


def spearman_brown(r: Real, times: float = 2.0) -> Real:
    """Reliability of `times` as much data, from reliability r (Spearman 1910, doi:10.1111/j.2044-8295.1910.tb00206.x).

    Negative reliabilities become 0.
    """
    r = np.maximum(r, 0)
    return np.asarray(times * r / (1 + (times - 1) * r))


def _too_few(kind: str, people: int) -> Ceiling | None:
    note = f"no ceiling: {people} people, and not all saw the test again; {MIN_PEOPLE} people, or repeats, are needed"
    return Ceiling(kind, None, note) if people < MIN_PEOPLE else None


def group_ceiling(scans: Float, there: Mask | None = None, n_splits: int = 100, seed: int = 0) -> Ceiling:
    """Ceiling of the group mean of scans [S, T, V]: sqrt(Spearman-Brown of the split halves' mean r), [V].

    The halves are drawn `n_splits` times; each is the mean over those of it who were measured at a TR (`there` [S, T];
    None: all were), and TRs at which nobody of a half was do not count. People weigh as their scans are scaled: z-score
    each, as for the group mean itself. Fewer than 6 people have no ceiling; the note says so.
    """
    kind, people = "group_split_half", len(scans)
    if few := _too_few(kind, people):
        return few
    seen = np.ones(scans.shape[:2], bool) if there is None else there
    first = _halves(people, n_splits, seed)
    counts = np.stack([half.astype(np.int64) @ seen for half in (first, ~first)])
    both = np.asarray((counts > 0).all(0))
    if not both.any(1).all():
        return Ceiling(kind, None, "no ceiling: too few people were measured at the same test TRs")
    total = np.zeros(scans.shape[2])
    for at in range(0, len(total), COLUMNS):
        some = slice(at, at + COLUMNS)
        total[some] = _half_r(np.where(seen[..., None], scans[..., some], 0), first, counts, both).sum(0)
    values = np.sqrt(spearman_brown(total / n_splits))
    return Ceiling(kind, values, f"sqrt(Spearman-Brown), {n_splits} random halves of {people} people")


def _halves(people: int, n_splits: int, seed: int) -> Mask:
    """Who is in the first half of each split, [n, S]."""
    rng = np.random.default_rng(seed)
    first = np.zeros((n_splits, people), bool)
    for row in first:
        row[rng.permutation(people)[: people // 2]] = True
    return first


def _half_r(scans: Float, first: Mask, counts: Int, both: Mask) -> Real:
    """Correlation of the two halves' means, [n, V], of scans [S, T, V] that are 0 where nobody was measured."""
    sums = [np.tensordot(half.astype(np.float64), scans, 1) for half in (first, ~first)]
    a, b = (x / np.maximum(n, 1)[..., None] for x, n in zip(sums, counts, strict=True))
    return np.stack([pearson(*pair) for pair in zip(a, b, both, strict=True)])


def loo_isc(scans: Float, there: Mask | None = None) -> Ceiling:
    """Correlate each person with the mean of the others: scans [S, T, V] -> [S, V].

    TRs count at which the person and somebody else were measured (`there` [S, T]; None: all were), and the others' mean
    is that of those who were. This is agreement between people, not a bound on a model of one person (Nastase 2019,
    doi:10.1093/scan/nsz037).
    """
    if few := _too_few("loo_isc", len(scans)):
        return few
    seen = np.ones(scans.shape[:2], bool) if there is None else there
    others = seen.sum(0) - seen
    both = seen & (others > 0)
    if not both.any(1).all():
        return Ceiling("loo_isc", None, "no ceiling: somebody was measured at test TRs of nobody else")
    x = np.where(seen[..., None], scans, 0)
    total = x.sum(0, dtype=np.float64)
    mean = ((total - person) / np.maximum(n, 1)[:, None] for person, n in zip(x, others, strict=True))
    r = [pearson(*rows) for rows in zip(x, mean, both, strict=True)]
    return Ceiling("loo_isc", np.stack(r), "agreement, not a bound")


def repeat_ceiling(repeats: Float) -> Real:
    """Ceiling of one presentation to one person: sqrt of the mean r between repeats [R, T, V] -> [V].

    Raises
    ------
    DataError
        If there are fewer than two repeats.
    """
    n = len(repeats)
    if n < 2:
        raise DataError("a repeat ceiling needs the same stimulus at least twice; without repeats use loo_isc")
    r = [pearson(repeats[i], repeats[j]) for i in range(n) for j in range(i)]
    return np.asarray(np.sqrt(np.maximum(np.mean(r, 0), 0)))


def ceiling_ratio(r: Float, ceiling: Float, threshold: float = 0.1) -> float | None:
    """Mean r / mean ceiling over the voxels [V] whose ceiling is at least `threshold`; None where there are none."""
    good = ceiling >= threshold
    return float(np.mean(r[good]) / np.mean(ceiling[good])) if good.any() else None
