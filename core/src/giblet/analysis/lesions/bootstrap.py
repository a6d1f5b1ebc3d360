"""How sure an effect is: people and blocks of neighbouring TRs drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.lesions.effects import Effects

Real = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 4999
LEAST_P = 0.01
"""What the least p of an interaction must be able to reach, corrected for as many as there are."""
BLOCK_S = 15.0
"""Blocks of TRs span the main lobe of the hemodynamic response (Glover 1999, doi:10.1006/nimg.1998.0419), through which
neighbouring losses are alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """How often each person and each TR is drawn in each of n resamples: weights `people` [n, S] and `trs` [n, T]."""

    people: Real
    trs: Real

    @classmethod
    def of(cls, people: int, trs: int, tr_s: float, seed: int, n: int = RESAMPLES, part: int = 0) -> Draws:
        """People, and circular blocks of TRs (Politis & Romano 1992), drawn with replacement; for every `part` anew."""
        rng = np.random.default_rng([seed, people, trs, *([part] if part else [])])
        who = rng.multinomial(people, np.full(people, 1 / people), n) / people
        size = min(max(1, round(BLOCK_S / tr_s)), trs)
        starts = rng.integers(0, trs, (n, -(-trs // size)))
        index = ((starts[:, :, None] + np.arange(size)) % trs).reshape(n, -1)[:, :trs]
        counts = np.zeros((n, trs))
        np.add.at(counts, (np.arange(n)[:, None], index), 1.0)
        return cls(who, counts)

    def means(self, effects: Effects) -> Real:
        """The effect of each lesion in each resample, [R, n]."""
        weight = self.trs * effects.present
        total = np.maximum(weight.sum(1), 1e-12)
        return np.stack([np.einsum("nt,nt->n", self.people @ each, weight) / total for each in effects.influence])


def resample_sets(family: int) -> int:
    """How many times `RESAMPLES` are drawn so that Holm's least p among `family` of them is at most `LEAST_P`."""
    return max(1, ceil((round(2 * family / LEAST_P) - 1) / RESAMPLES))


def resampled(effects: Mapping[str, Effects], tr_s: float, seed: int, sets: int) -> dict[str, Real]:
    """The effect of each lesion on each modality in each resample, [R, n]; one set at a time, for memory."""
    _, people, trs = next(iter(effects.values())).influence.shape
    parts: dict[str, list[Real]] = {m: [] for m in effects}
    for part in range(sets):
        draws = Draws.of(people, trs, tr_s, seed, part=part)
        for m, e in effects.items():
            parts[m].append(draws.means(e))
    return {m: np.concatenate(found, axis=1) for m, found in parts.items()}


def interval(resampled: Real) -> tuple[float, float]:
    """The middle `LEVEL` of resamples [n]."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def two_sided_p(resampled: Real) -> float:
    """How often resamples [n] lie on the other side of 0, twice: (1 + k) / (1 + n) each way."""
    low, high = (1 + (resampled <= 0).sum()) / (1 + len(resampled)), (1 + (resampled >= 0).sum()) / (1 + len(resampled))
    return float(min(1.0, 2 * min(low, high)))


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6, 65-70)."""
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, float)[order] * (len(p) - np.arange(len(p)))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0) if len(p) else stepped
    return [float(x) for x in corrected]


@dataclass(frozen=True, slots=True)
class Interaction:
    """What a lesion of the first region costs the first modality more than the second, beyond the same of the second
    region.
    """

    regions: tuple[str, str]
    modalities: tuple[str, str]
    estimate: float
    interval: tuple[float, float]
    p: float
    p_holm: float


def interactions(
    effects: Mapping[str, Real], resampled: Mapping[str, Real], pairs: Sequence[tuple[int, int]], names: Sequence[str]
) -> list[Interaction]:
    """Every pair of modalities against the given pairs of regions; effects [R] and their resamples [R, n] by modality.

    p-values are Holm's over these rows: the table of one source, scans as measured or as predicted.
    """
    rows = []
    for a, b in combinations(effects, 2):
        for i, j in pairs:
            at = _contrast(effects[a], effects[b], i, j)
            drawn = _contrast(resampled[a], resampled[b], i, j)
            rows.append(((names[i], names[j]), (a, b), float(at), interval(drawn), two_sided_p(drawn)))
    corrected = holm([r[-1] for r in rows])
    return [Interaction(*row, p) for row, p in zip(rows, corrected, strict=True)]


def _contrast(a: Real, b: Real, i: int, j: int) -> Real:
    return np.asarray((a[i] - b[i]) - (a[j] - b[j]))
