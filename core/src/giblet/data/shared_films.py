"""Runs that show the same film: a moment of it has one purpose in all of them, or the test would have been seen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from fractions import Fraction
from itertools import combinations, product
from math import ceil, floor

from giblet.data.split import MIN_TRS, Block, Split
from giblet.errors import ConfigError
from giblet.types import TRGrid

Films = Mapping[str, Set[Hashable]]
"""What each run shows."""


def leaders(grids: Mapping[str, TRGrid], films: Films) -> dict[str, str]:
    """The run whose blocks each run takes: the longest of those that show the same film, itself where it is alone."""
    groups: list[tuple[set[Hashable], list[str]]] = []
    for run in grids:
        mine = [g for g in groups if g[0] & films.get(run, frozenset())]
        groups = [g for g in groups if g not in mine]
        shown = set(films.get(run, frozenset())).union(*(g[0] for g in mine))
        groups.append((shown, [r for g in mine for r in g[1]] + [run]))
    longest = [(max(runs, key=lambda r: grids[r].n_trs), runs) for _, runs in groups]
    return {run: leader for leader, runs in longest for run in runs}


def follow(split: Split, grids: Mapping[str, TRGrid], leader_of: Mapping[str, str]) -> Split:
    """The split of the leaders, and for the others the TRs that lie within the same seconds of the film."""
    found: Split = {}
    for run, leader in leader_of.items():
        blocks = [b if run == leader else _moved(b, grids[leader], grids[run]) for b in split[leader]]
        found[run] = blocks if run == leader else [b for b in blocks if b.stop - b.start >= MIN_TRS]
    return {run: found[run] for run in grids}


def _moved(b: Block, there: TRGrid, here: TRGrid) -> Block:
    start, stop = ((_second(k, there) - here.start_s) / here.tr_s for k in (b.start, b.stop))
    return Block(b.label, max(0, ceil(start)), min(here.n_trs, floor(stop)))


def _second(tr: int, grid: TRGrid) -> Fraction:
    return grid.start_s + tr * grid.tr_s


def refuse_seen(split: Split, grids: Mapping[str, TRGrid], films: Films, gap: int) -> None:
    """Refuse a split that tests on seconds of a film which another run trains or validates on, or `gap` TRs from them.

    Raises
    ------
    ConfigError
        If it does, naming both runs.
    """
    for a, b in combinations(split, 2):
        if not films.get(a, frozenset()) & films.get(b, frozenset()):
            continue
        for one, other in product(split[a], split[b]):
            low = max(_second(one.start, grids[a]), _second(other.start, grids[b]))
            high = min(_second(one.stop, grids[a]), _second(other.stop, grids[b]))
            if one.label != other.label and low - high < (gap_s := gap * grids[a].tr_s):
                wrong = _seen(f"{one.label} in {a}", f"{other.label} in {b}", float(low), float(high), float(gap_s))
                raise ConfigError(f"{a} and {b} show the same film, and {wrong}, or leave it out")


def _seen(one: str, other: str, low: float, high: float, gap_s: float) -> str:
    """What is wrong with two blocks that share the seconds `low` to `high`, or have those from `high` between them."""
    if low < high:
        return f"its seconds {low:g} to {high:g} are {one}, {other}; give them one purpose in [split]"
    return f"{low - high:g} s of it lie between {one} and {other}; make that at least {gap_s:g} s in [split]"
