"""Ridges whose priors are found by their evidence: one for each voxel, and how common each is from all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from giblet.model.encoding import DELAYS_S, FEATURES
from giblet.training.small_matrices import one_thread
from giblet.types import Int

Real = NDArray[np.float64]
Single = NDArray[np.float32]
Mask = NDArray[np.bool_]
SCALES = 10.0 ** np.arange(-2.5, 1.01, 0.25)
"""How strong a voxel's signal may be against its noise, in a TR."""
TEMPER = 2.0
"""Evidence counts so many times less than it would if noise were as it is taken to be, white after one lag."""
EM_STEPS, RARE, LEAST_AXIS = 30, 0.01, 1e-9
"""Priors that fewer than 1 % of voxels have (or half their share, if all are as common) are left out, and axes
that have less than that share of the first one's size."""
MOST_CORRELATED = 0.6
"""Of the noise of a TR with that of the next: what is more is signal."""


class Rows(NamedTuple):
    """TRs that follow each other: design [n, R, Q], what of some voxels was measured [n, V], and of how many [n].

    A row is the mean of so many people; where it is of none, nothing was measured.
    """

    x: Single
    y: Callable[[Int], Single]
    people: Real


class Sums(NamedTuple):
    """What a ridge needs of n scans of some voxels: X'Y [R Q, V] and Y'Y [V]."""

    n: int
    xy: Single
    yy: Real


@dataclass(frozen=True)
class Design:
    """Rows whose noise, correlated from TR to TR, is made white (Cochrane & Orcutt 1949, doi:10.2307/2280349).

    `white` [n, R Q] are the designs of stretches of which `measured` are scans, each with its people; `xx` [R Q, R Q]
    is X'X of all, n rows which are the mean of so many `people` on average. The mean of more people has less noise, and
    counts more.
    """

    white: Sequence[Single]
    measured: Sequence[tuple[Callable[[Int], Single], Real]]
    correlation: float
    xx: Real
    n: int
    people: float

    @classmethod
    def of(cls, rows: Iterable[Rows], correlation: float, width: int) -> Design:
        """Of rows of R Q columns."""
        white, measured, xx = [], [], np.zeros((width, width))
        for row in rows:
            x = _white(row.x.reshape(len(row.x), width), row.people, correlation)
            xx += x.T.astype(np.float64) @ x
            white.append(x)
            measured.append((row.y, row.people))
        n = sum(len(x) for x in white)
        people = sum(float(count.sum()) for _, count in measured) / max(n, 1)
        return cls(white, measured, correlation, xx, n, people)

    def sums(self, voxels: Int) -> Sums:
        """What was measured of some voxels, beside it."""
        xy, yy = np.zeros((len(self.xx), len(voxels)), np.float32), np.zeros(len(voxels))
        for x, (measure, people) in zip(self.white, self.measured, strict=True):
            y = _white(measure(voxels), people, self.correlation)
            xy += x.T @ y
            yy += np.square(y, dtype=np.float64).sum(0)
        return Sums(self.n, xy, yy)


def _white(z: Single, people: Real, correlation: float) -> Single:
    """Rows [n, ..] that were measured, less what the one before foretells, each as heavy as there are people."""
    measured, z = people > 0, z * np.sqrt(people).astype(np.float32)[:, None]
    follows = np.append(False, measured[1:] & measured[:-1])[: len(z), None]
    before = np.concatenate([np.zeros_like(z[:1]), z[:-1]])
    white = np.where(follows, z - correlation * before, z * (1 - correlation**2) ** 0.5)
    return np.asarray(white[measured], np.float32)


def autocorrelation(scans: Iterable[tuple[Single, Mask]]) -> float:
    """Of scans with themselves a TR later: what that of their noise is taken for, signal or not.

    They come block by block, [n, V], with which of their TRs were measured, [n]. What a first fit leaves has less: it
    takes slow noise for signal.
    """
    products = squares = 0.0
    for y, there in scans:
        pairs = there[1:] & there[:-1]
        here, before = y[1:][pairs], y[:-1][pairs]
        products += float(np.vdot(here, before))
        squares += float(np.vdot(here, here) + np.vdot(before, before)) / 2
    return float(np.clip(products / squares, 0, MOST_CORRELATED)) if squares else 0.0


class Candidate(NamedTuple):
    """A prior that a voxel may have: how late it is, and what of the variance each of Q features has."""

    delay: int
    weight: Real

    @property
    def columns(self) -> slice:
        """Where its delay's features are in a design [.., R Q]."""
        return slice(self.delay * len(self.weight), (self.delay + 1) * len(self.weight))


class Turned(NamedTuple):
    """A candidate's features turned to their principal axes: `into` [Q, k], and their sums of squares [k]."""

    into: Single
    values: Real


def shares(modalities: int) -> Iterator[Real]:
    """Ways to share out a variance among modalities: in quarters, in halves where there are more than three."""
    parts = 4 if modalities <= 3 else 2
    for places in itertools.combinations_with_replacement(range(modalities), parts):
        yield np.bincount(places, minlength=modalities) / parts


def candidates(divisions: Iterable[Real]) -> list[Candidate]:
    """Priors that divide their variance so among modalities, at each delay."""
    weights = [np.repeat(division, FEATURES) for division in divisions]
    return [Candidate(delay, weight) for delay in range(len(DELAYS_S)) for weight in weights]


def turn(candidate: Candidate, design: Design) -> Turned:
    """Features whose mean square in a row is 1 in all, turned to their principal axes."""
    used = np.flatnonzero(candidate.weight)
    weight, tiny = np.sqrt(candidate.weight[used]), np.finfo(float).tiny
    at = candidate.columns.start + used
    inner = weight[:, None] * design.xx[np.ix_(at, at)] * weight
    size = np.sqrt(max(float(np.trace(inner)) / max(design.n, 1), tiny))
    with one_thread():
        values, axes = np.linalg.eigh(inner / size**2)
    there = values > LEAST_AXIS * max(float(values[-1]), tiny)
    into = np.zeros((len(candidate.weight), there.sum()), np.float32)
    into[used] = weight[:, None] * axes[:, there] / size
    return Turned(into, values[there])


def log_evidence(turned: Turned, columns: slice, sums: Sums) -> Real:
    """Log marginal likelihood of each voxel at each of `SCALES`, [S, V], tempered; the noise has its best variance."""
    square = np.square(turned.into.T @ sums.xy[columns], dtype=np.float64)
    tiny = np.finfo(float).tiny
    floor = np.finfo(np.float32).eps * np.maximum(sums.yy, tiny)
    out = np.empty((len(SCALES), len(sums.yy)))
    for k, scale in enumerate(SCALES):
        gain = 1 + scale * turned.values
        left = np.maximum(sums.yy - (scale / gain) @ square, floor)
        out[k] = -0.5 * (sums.n * np.log(left / max(sums.n, 1)) + np.log(gain).sum())
    return out / TEMPER


@dataclass(frozen=True)
class Prior:
    """How common each prior is: of C candidates, at S `SCALES`, as logarithms [C, S]."""

    candidates: Sequence[Candidate]
    common: Real

    @classmethod
    def of(cls, candidates: Sequence[Candidate], design: Design, sums: Sums) -> Prior:
        """By empirical Bayes: priors are as common as the posteriors of all voxels make them."""
        turned = [turn(c, design) for c in candidates]
        evidence = np.stack([log_evidence(t, c.columns, sums) for t, c in zip(turned, candidates, strict=True)])
        prior = np.full(evidence.shape[:2], -np.log(evidence[..., 0].size))
        for _ in range(EM_STEPS):
            joint = evidence + prior[..., None]
            prior = logsumexp(joint - logsumexp(joint, (0, 1)), -1) - np.log(len(sums.yy))
        common = np.exp(prior).sum(1)
        kept = np.flatnonzero(common >= min(RARE, 0.5 / len(common), common.max())).tolist()
        return cls([candidates[k] for k in kept], prior[kept])

    def turned(self, design: Design) -> list[Turned]:
        """Every candidate's features in some rows."""
        return [turn(c, design) for c in self.candidates]

    def share(self, turned: Sequence[Turned], sums: Sums) -> Single:
        """How far each voxel has each prior given what was measured of it, [C, S, V]."""
        each = zip(turned, self.candidates, self.common, strict=True)
        joint = np.stack([log_evidence(t, c.columns, sums) + common[:, None] for t, c, common in each])
        return np.asarray(np.exp(joint - logsumexp(joint, (0, 1))), np.float32)

    def weights(self, turned: Sequence[Turned], share: Single, sums: Sums, scales: Real = SCALES) -> Single:
        """The mean that each voxel's weights have given some rows, over all priors, [R Q, V].

        `scales` are what the shares' stand for in these rows.
        """
        out = np.zeros_like(sums.xy)
        for c, t, part in zip(self.candidates, turned, share, strict=True):
            shrink = (scales / (1 + scales * t.values[:, None])).astype(np.float32)
            out[c.columns] += t.into @ ((shrink @ part) * (t.into.T @ sums.xy[c.columns]))
        return out
