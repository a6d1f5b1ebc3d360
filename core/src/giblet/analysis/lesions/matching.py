"""Random lesions that are like a region in all but their place: as large, as connected, as reliable, beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.surrogates import MIN_DISTINCT

Mask = NDArray[np.bool_]
Int = NDArray[np.int64]
Real = NDArray[np.float64]

CEILING_TOLERANCE = 0.05
"""A random lesion is matched if its mean ceiling, in units of r, is this near the region's: the spread of a ceiling
that six people give."""
TRIES = 5
"""Attempts at a lesion whose ceiling is not within the tolerance; the nearest of them is kept, and counted as not."""
CANDIDATES = 4
"""A lesion grows by that one of so many neighbours, drawn at random, that brings its ceiling nearest the region's."""


@dataclass(frozen=True, slots=True)
class Space:
    """What is known of the units: the neighbours of each [U, 6], -1 for none (None: they have no places), and their
    ceilings [U] (None: there are none).
    """

    neighbours: Int | None = None
    ceiling: Real | None = None

    @classmethod
    def of_mask(cls, mask: Mask, ceiling: Real | None = None) -> Space:
        """The voxels of a mask [X, Y, Z] in C order; neighbours share a face."""
        index = np.full(tuple(n + 2 for n in mask.shape), -1, np.int64)
        inner = index[1:-1, 1:-1, 1:-1]
        inner[mask] = np.arange(int(mask.sum()))
        at = np.argwhere(mask) + 1
        steps = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
        return cls(np.stack([index[tuple((at + step).T)] for step in steps], axis=1), ceiling)


@dataclass(frozen=True, slots=True, eq=False)
class RandomLesions:
    """Random lesions `masks` [n, U] of one region, no two alike, and how well they match it.

    `notes` say what could not be matched, or that they are too few for a p; without room for any, n is 0.
    """

    masks: Mask
    region_ceiling: float | None
    ceilings: Real
    within: float | None
    notes: tuple[str, ...]

    def matching(self) -> dict[str, object]:
        """The quality of the match, in plain values."""
        known = self.region_ceiling is not None and len(self.ceilings) > 0
        return {
            "n": len(self.masks),
            "region_ceiling": self.region_ceiling,
            "random_ceiling": float(self.ceilings.mean()) if known else None,
            "random_ceiling_sd": float(self.ceilings.std()) if known else None,
            "within_tolerance": self.within,
            "tolerance": CEILING_TOLERANCE,
            "notes": list(self.notes),
        }


def parts_of(mask: Mask, neighbours: Int) -> list[int]:
    """The sizes of the connected parts of a set of units [U], the largest first."""
    left, sizes = set(np.flatnonzero(mask).tolist()), []
    while left:
        edge, size = [left.pop()], 0
        while edge:
            size += 1
            near = left.intersection(neighbours[edge.pop()].tolist())
            left -= near
            edge.extend(near)
        sizes.append(size)
    return sorted(sizes, reverse=True)


def random_lesions(region: Mask, space: Space, n: int, seed: int) -> RandomLesions:
    """Draw n lesions [n, U] like a region [U]; one that was drawn before is not counted again.

    Each has as many connected parts of the same sizes, grown at random beside the region, towards its mean ceiling.
    Where units have no places they are random sets, and where there is no ceiling it is not matched; `notes` say so.
    """
    sizes = [int(region.sum())] if space.neighbours is None else parts_of(region, space.neighbours)
    target = None if space.ceiling is None or not region.any() else float(space.ceiling[region].mean())
    notes = [] if space.neighbours is not None else ["random sets: these units have no places, so nothing is connected"]
    if target is None:
        notes.append("not matched in ceiling: there is none (fewer than six people, or units that are no voxels)")
    rng = np.random.default_rng([seed, int(region.sum())])
    found = []
    for _ in range(n if region.any() else 0):
        one = _draw(rng, ~region, sizes, space, target)
        if one is None:
            notes.append("no random lesion of this size and shape fits beside the region")
            break
        found.append(one)
    found = list({one.tobytes(): one for one in found}.values())
    if 0 < len(found) < MIN_DISTINCT:
        notes.append(f"no p: {len(found)} different random lesions, at least {MIN_DISTINCT} are needed")
    masks = np.stack(found) if found else np.zeros((0, len(region)), bool)
    ceilings = masks @ space.ceiling / region.sum() if space.ceiling is not None and found else np.zeros(0)
    within = None if target is None or not found else float(np.mean(np.abs(ceilings - target) <= CEILING_TOLERANCE))
    return RandomLesions(masks, target, ceilings, within, tuple(notes))


def _draw(
    rng: np.random.Generator, free: Mask, sizes: Iterable[int], space: Space, target: float | None
) -> Mask | None:
    """The best of a few attempts at one lesion; None if none fits."""
    best, miss = None, np.inf
    for _ in range(TRIES):
        grown = _grow_all(rng, free, sizes, space, target)
        if grown is None:
            continue
        if target is None or space.ceiling is None:
            return grown
        if (off := abs(float(space.ceiling[grown].mean()) - target)) < miss:
            best, miss = grown, off
        if miss <= CEILING_TOLERANCE:
            break
    return best


def _grow_all(
    rng: np.random.Generator, free: Mask, sizes: Iterable[int], space: Space, target: float | None
) -> Mask | None:
    """One lesion of connected parts of these sizes in what is free; None if a part finds no room."""
    taken, left = np.zeros(len(free), bool), free.copy()
    for size in sizes:
        part = _grow(rng, left, size, space, target)
        if part is None:
            return None
        taken[part] = True
        left[part] = False
    return taken


def _grow(rng: np.random.Generator, free: Mask, size: int, space: Space, target: float | None) -> list[int] | None:
    """The units of one connected part; None if it ran into its borders before it had its size."""
    where = np.flatnonzero(free)
    if len(where) < size:
        return None
    edge = rng.permutation(where).tolist() if space.neighbours is None else [_start(rng, where, space, target)]
    draws = rng.random((size, CANDIDATES))
    part: list[int] = []
    total, met = 0.0, set(edge)
    for k in range(size):
        if not edge:
            return None
        place = _choose(edge, draws[k], space.ceiling, target, total, k)
        edge[place], edge[-1] = edge[-1], edge[place]
        unit = edge.pop()
        part.append(unit)
        total += 0.0 if space.ceiling is None else float(space.ceiling[unit])
        for near in () if space.neighbours is None else space.neighbours[unit].tolist():
            if near >= 0 and near not in met and free[near]:
                met.add(near)
                edge.append(near)
    return part


def _start(rng: np.random.Generator, where: Int, space: Space, target: float | None) -> int:
    some = rng.choice(where, CANDIDATES)
    if target is None or space.ceiling is None:
        return int(some[0])
    return int(some[np.argmin(np.abs(space.ceiling[some] - target))])


def _choose(edge: list[int], draw: Real, ceiling: Real | None, target: float | None, total: float, k: int) -> int:
    """Which of the edge's units is next."""
    places = (draw * len(edge)).astype(int).tolist()
    if ceiling is None or target is None:
        return int(places[0])
    return min(places, key=lambda p: abs((total + ceiling[edge[p]]) / (k + 1) - target))
