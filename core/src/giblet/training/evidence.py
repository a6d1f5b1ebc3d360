"""Ridges whose priors are found by their evidence: one for each voxel, and how common each is from all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from giblet.training.inversion import one_thread

Real = NDArray[np.float64]
Single = NDArray[np.float32]
Mask = NDArray[np.bool_]
Voxels = slice | NDArray[np.int64]
SCALES = 10.0 ** np.arange(-2.5, 1.01, 0.25)
"""How strong a voxel's signal may be against its noise, in a TR."""
TEMPER = 2.0
"""Evidence counts so many times less than it would if noise were as it is taken to be, white after one lag."""
EM_STEPS, RARE, FAINT = 30, 0.01, 1e-9
"""Priors that fewer than 1 % of voxels have (or half their share, if all are as common) are left out, and axes
that have less than that share of the first one's size."""
MOST_VOXELS = 4096
"""So many voxels are looked at at once; and so many, evenly spaced, say how common a prior is."""
MOST_CORRELATED = 0.6
"""Of the noise of a TR with that of the next: what is more is signal."""


class Rows(NamedTuple):
    """TRs that follow each other: design [n, R, Q], scan [n, V], and how many people each is the mean of [n]."""

    x: Single
    y: Single
    people: Real


@dataclass(frozen=True)
class Sums:
    """What a ridge at each of R delays needs of n rows: X'X [R, Q, Q], X'Y [R, Q, V] and Y'Y [V].

    A row is the mean of so many `people`, on average.
    """

    n: int
    people: float
    xx: Real
    xy: Single
    yy: Real

    def of(self, voxels: Voxels) -> Sums:
        """Those of some voxels."""
        return Sums(self.n, self.people, self.xx, self.xy[..., voxels], self.yy[voxels])

    @classmethod
    def over(cls, rows: Iterable[Rows], correlation: float, sizes: tuple[int, int, int]) -> Sums:
        """Over rows of R, Q and V, `sizes`, whose noise, correlated from TR to TR, is made white.

        As in Cochrane & Orcutt 1949, doi:10.2307/2280349. The mean of more people has less noise, and counts more.
        """
        (delays, features, voxels), n, counted = sizes, 0, 0.0
        xx, xy = np.zeros((delays, features, features)), np.zeros(sizes, np.float32)
        yy = np.zeros(voxels)
        for x, y, people in rows:
            measured, weight = people > 0, np.sqrt(people).astype(np.float32)[:, None]
            follows = np.append(False, measured[1:] & measured[:-1])[:, None]
            designs = [_white(d * weight, follows, correlation)[measured] for d in np.moveaxis(x, 1, 0)]
            for start in range(0, voxels, MOST_VOXELS):
                slab = slice(start, start + MOST_VOXELS)
                seen = _white(y[:, slab] * weight, follows, correlation)[measured]
                xy[..., slab] += np.stack([d.T @ seen for d in designs])
                yy[slab] += np.square(seen, dtype=np.float64).sum(0)
            xx += np.stack([d.T.astype(np.float64) @ d for d in designs])
            n, counted = n + int(measured.sum()), counted + float(people.sum())
        return cls(n, counted / max(n, 1), xx, xy, yy)


def _white(z: Single, follows: Mask, correlation: float) -> Single:
    before = np.concatenate([np.zeros_like(z[:1]), z[:-1]])
    return np.where(follows, z - correlation * before, z * (1 - correlation**2) ** 0.5)


def autocorrelation(rows: Iterable[Rows]) -> float:
    """Of scans with themselves a TR later, over all voxels: what that of their noise is taken for, signal or not.

    What a first fit leaves has less: it takes slow noise for signal.
    """
    products = squares = 0.0
    for _, y, people in rows:
        pairs = (people[1:] > 0) & (people[:-1] > 0)
        for start in range(0, y.shape[1], MOST_VOXELS):
            here, before = (part[pairs, start : start + MOST_VOXELS] for part in (y[1:], y[:-1]))
            products += float(np.vdot(here, before))
            squares += float(np.vdot(here, here) + np.vdot(before, before)) / 2
    return float(np.clip(products / squares, 0, MOST_CORRELATED)) if squares else 0.0


class Candidate(NamedTuple):
    """A prior that a voxel may have: how late it is, and what of the variance each of Q features has."""

    delay: int
    weight: Real


class Turned(NamedTuple):
    """A candidate's features turned to their principal axes: `into` [Q, k], and their sums of squares [k]."""

    into: Real
    values: Real


def shares(modalities: int) -> Iterator[Real]:
    """Ways to share out a variance among modalities: in quarters, in halves where there are more than three."""
    parts = 4 if modalities <= 3 else 2
    for places in itertools.combinations_with_replacement(range(modalities), parts):
        yield np.bincount(places, minlength=modalities) / parts


def turn(candidate: Candidate, sums: Sums) -> Turned:
    """Features whose mean square in a row is 1 in all, turned to their principal axes."""
    weight = np.sqrt(candidate.weight)
    inner = weight[:, None] * sums.xx[candidate.delay] * weight
    size = np.sqrt(max(float(np.trace(inner)) / max(sums.n, 1), np.finfo(float).tiny))
    values, axes = np.linalg.eigh(inner / size**2)
    there = values > FAINT * max(float(values[-1]), np.finfo(float).tiny)
    return Turned(weight[:, None] * axes[:, there] / size, values[there])


def turn_all(candidates: Sequence[Candidate], sums: Sums) -> list[Turned]:
    """`turn` of each."""
    with one_thread():
        return [turn(c, sums) for c in candidates]


def log_evidence(turned: Turned, delay: int, sums: Sums) -> Real:
    """Log marginal likelihood of each voxel at each of `SCALES`, [S, V], tempered; the noise has its best variance."""
    square = np.square(turned.into.T @ sums.xy[delay])
    tiny = np.finfo(float).tiny
    floor = np.finfo(np.float32).eps * np.maximum(sums.yy, tiny)
    out = np.empty((len(SCALES), len(sums.yy)))
    for k, scale in enumerate(SCALES):
        gain = 1 + scale * turned.values
        left = np.maximum(sums.yy - (scale / gain) @ square, floor)
        out[k] = -0.5 * (sums.n * np.log(left / max(sums.n, 1)) + np.log(gain).sum())
    return out / TEMPER


@dataclass(frozen=True)
class Posterior:
    """How far each voxel has each prior: of C candidates, at S `SCALES`, [C, S, V]."""

    candidates: Sequence[Candidate]
    share: Single

    @classmethod
    def of(cls, candidates: Sequence[Candidate], sums: Sums) -> Posterior:
        """By empirical Bayes: priors are as common as the posteriors of all voxels make them."""
        turned, voxels = turn_all(candidates, sums), sums.xy.shape[-1]
        some = sums.of(np.linspace(0, voxels - 1, min(voxels, MOST_VOXELS)).round().astype(int))
        evidence = np.stack([log_evidence(t, c.delay, some) for t, c in zip(turned, candidates, strict=True)])
        prior = np.full(evidence.shape[:2], -np.log(evidence[..., 0].size))
        for _ in range(EM_STEPS):
            joint = evidence + prior[..., None]
            prior = logsumexp(joint - logsumexp(joint, (0, 1)), -1) - np.log(len(some.yy))
        common = np.exp(prior).sum(1)
        kept = np.flatnonzero(common >= min(RARE, 0.5 / len(common), common.max())).tolist()
        parts = []
        for start in range(0, voxels, MOST_VOXELS):
            part = sums.of(slice(start, start + MOST_VOXELS))
            joint = np.stack([log_evidence(turned[k], candidates[k].delay, part) + prior[k][:, None] for k in kept])
            parts.append(np.exp(joint - logsumexp(joint, (0, 1))).astype(np.float32))
        return cls([candidates[k] for k in kept], np.concatenate(parts, -1))

    def turned(self, sums: Sums) -> list[Turned]:
        """Every candidate's features in some rows."""
        return turn_all(self.candidates, sums)

    def weights(self, sums: Sums, turned: Sequence[Turned], scales: Real = SCALES) -> Single:
        """The mean that each voxel's weights have given some rows, over all priors, [R Q, V].

        `scales` are what the posterior's stand for in these rows.
        """
        out = np.zeros_like(sums.xy)
        for c, t, share in zip(self.candidates, turned, self.share, strict=True):
            into, shrink = t.into.astype(np.float32), (scales / (1 + scales * t.values[:, None])).astype(np.float32)
            out[c.delay] += into @ ((shrink @ share) * (into.T @ sums.xy[c.delay]))
        return out.reshape(-1, out.shape[-1])
