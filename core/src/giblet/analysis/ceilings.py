"""How well any model could do: each ceiling belongs to one target, on the same TRs after the same cleaning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.analysis.scores import Real, pearson
from giblet.errors import DataError
from giblet.types import Float, Int

MIN_PEOPLE = 6


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
    note = f"no ceiling: {people} people and no repeats; {MIN_PEOPLE} people or repeated runs are needed"
    return Ceiling(kind, None, note) if people < MIN_PEOPLE else None


def group_ceiling(scans: Float, n_splits: int = 100, seed: int = 0) -> Ceiling:
    """Ceiling of the group mean of scans [S, T, V]: sqrt(Spearman-Brown of the split halves' mean r), [V].

    The halves are drawn `n_splits` times. People weigh as their scans are scaled: z-score each, as for the group mean
    itself. Fewer than 6 people have no ceiling; the note says so.
    """
    people = len(scans)
    if few := _too_few("group_split_half", people):
        return few
    covariance = _covariance(scans)
    rng = np.random.default_rng(seed)
    total = np.zeros(scans.shape[2])
    for _ in range(n_splits):
        order = rng.permutation(people)
        total += _half_r(covariance, order[: people // 2], order[people // 2 :])
    values = np.sqrt(spearman_brown(total / n_splits))
    return Ceiling("group_split_half", values, f"sqrt(Spearman-Brown), {n_splits} random halves of {people} people")


def _covariance(scans: Float) -> Real:
    """Sums of products over TRs between people, [V, S, S]."""
    x = np.asarray(scans, np.float64)
    x = np.moveaxis(x - x.mean(1, keepdims=True), 2, 0)
    return x @ x.swapaxes(1, 2)


def _half_r(covariance: Real, a: Int, b: Int) -> Real:
    """Correlation of the means of two groups of people, [V]."""
    between = covariance[:, a][:, :, b].sum((1, 2))
    scale = np.sqrt(covariance[:, a][:, :, a].sum((1, 2)) * covariance[:, b][:, :, b].sum((1, 2)))
    return np.asarray(np.where(scale > 0, between / np.where(scale > 0, scale, 1.0), 0.0))


def loo_isc(scans: Float) -> Ceiling:
    """Correlate each person with the mean of the others: scans [S, T, V] -> [S, V].

    This is agreement between people, not a bound on a model of one person (Nastase 2019, doi:10.1093/scan/nsz037).
    """
    if few := _too_few("loo_isc", len(scans)):
        return few
    total = np.asarray(scans, np.float64).sum(0)
    r = [pearson(np.asarray(person), (total - person) / (len(scans) - 1)) for person in scans]
    return Ceiling("loo_isc", np.stack(r), "agreement, not a bound")


def repeat_ceiling(repeats: Float) -> Ceiling:
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
    return Ceiling("repeats", np.sqrt(np.maximum(np.mean(r, 0), 0)), f"sqrt(repeat reliability) of {n} repeats")


def ceiling_ratio(r: Float, ceiling: Float, threshold: float = 0.1) -> float | None:
    """Mean r / mean ceiling over the voxels [V] whose ceiling is at least `threshold`; None where there are none."""
    good = ceiling >= threshold
    return float(np.mean(r[good]) / np.mean(ceiling[good])) if good.any() else None
