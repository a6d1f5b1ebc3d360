"""Onsets that were measured: those of people who shared a run differ by milliseconds, and are one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import median

from giblet.data.parts import Scan

SAME = Fraction(1, 10)
"""Offsets of one run and stimulus that lie within this share of a TR are taken as one."""


def one_clock(scans: Sequence[Scan]) -> tuple[tuple[Scan, ...], tuple[str, ...]]:
    """The scans, those of a run and stimulus that began nearly together with their median offset, and a note of it."""
    clocks: dict[int, Fraction] = {}
    people: set[str] = set()
    most = Fraction(0)
    for group in _groups(scans):
        offsets = [scans[i].offset_s for i in group]
        spread = max(offsets) - min(offsets)
        if spread:
            people |= {scans[i].subject for i in group}
            most = max(most, spread)
            clocks |= dict.fromkeys(group, median(offsets))
    if not clocks:
        return tuple(scans), ()
    note = f"onsets of {len(people)} people differ by up to {float(most):.3g} s; taken as one, their median"
    return tuple(replace(s, offset_s=clocks.get(i, s.offset_s)) for i, s in enumerate(scans)), (note,)


def _groups(scans: Sequence[Scan]) -> list[list[int]]:
    """Numbers of the scans that share a run and a stimulus, and lie near the earliest of their group."""
    groups: list[list[int]] = []
    order = sorted(range(len(scans)), key=lambda i: (scans[i].run, scans[i].stimulus, scans[i].offset_s))
    for i in order:
        first = scans[groups[-1][0]] if groups else None
        if first is not None and _near(first, scans[i]):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _near(first: Scan, scan: Scan) -> bool:
    together = (first.run, first.stimulus, first.tr_s) == (scan.run, scan.stimulus, scan.tr_s)
    return together and scan.offset_s - first.offset_s <= SAME * first.tr_s
