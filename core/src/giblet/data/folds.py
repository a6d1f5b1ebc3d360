"""Test blocks that together cover the data, each with training and validation blocks of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from giblet.data.split import LABELS, MIN_TRS, Block, Label, Split
from giblet.errors import DataError

Piece = tuple[str, int, int]
Placed = list[tuple[str, Block]]
TOLD = 6
"""How many numbers of folds an error names."""
MOST = 20
"""Folds up to which an error looks for a number that would do."""


def fold_splits(lengths: Mapping[str, int], gap: int, folds: int, validation: float) -> list[Split]:
    """Cut all runs, in order, into `folds` test blocks of equal length, and make a split around each.

    Every TR of a run that is at least 20 TRs long is tested once. A cut less than 20 TRs from the end of a run moves
    there. Around a test block lie `gap` TRs of no purpose; of what is left in its run and the others, `validation`
    (a share of all TRs but those in gaps) is one stretch, where it costs training least, and the rest trains.

    Raises
    ------
    DataError
        If a purpose would have fewer than 20 TRs; it names the numbers of folds that would do.
    """
    if splits := _splits(lengths, gap, folds, validation):
        return splits
    total = sum(lengths.values())
    good = [k for k in range(2, min(total // MIN_TRS, MOST) + 1) if _splits(lengths, gap, k, validation)]
    listed = ", ".join(map(str, good[:TOLD])) + (f" or more (at most {good[-1]})" if len(good) > TOLD else "")
    way = f"{listed} would do" if good else "no number of folds would do: give more scans, or shorter kernels and gaps"
    raise DataError(
        f"{folds} folds are not possible: {total} TRs with gaps of {gap} TRs leave some fold fewer than {MIN_TRS} TRs "
        f"to train, validate or test on; {way}"
    )


def _splits(lengths: Mapping[str, int], gap: int, folds: int, validation: float) -> list[Split]:
    """The splits, or none where a fold would be too short."""
    runs = {run: n for run, n in lengths.items() if n >= MIN_TRS}
    splits = []
    for test in _test_pieces(runs, folds):
        placed = _around(runs, test, gap, validation)
        n = {label: sum(b.stop - b.start for _, b in placed if b.label == label) for label in LABELS}
        if min(n.values()) < MIN_TRS or any(b.stop - b.start < MIN_TRS for _, b in placed):
            return []
        splits.append({run: sorted((b for r, b in placed if r == run), key=lambda b: b.start) for run in lengths})
    return splits


def _test_pieces(runs: Mapping[str, int], folds: int) -> list[list[Piece]]:
    """The TRs that each fold tests, by run."""
    total = sum(runs.values())
    cuts = [_moved(runs, round(k * total / folds)) for k in range(folds + 1)]
    tests = []
    for start, stop in pairwise(cuts):
        at, pieces = 0, []
        for run, n in runs.items():
            a, b = max(start - at, 0), min(stop - at, n)
            pieces += [(run, a, b)] if b > a else []
            at += n
        tests.append(pieces)
    return tests


def _moved(runs: Mapping[str, int], cut: int) -> int:
    """A cut where it is, or at the nearest end of its run where it would leave a piece too short to be used."""
    at = 0
    for n in runs.values():
        if at <= cut <= at + n:
            near = min(cut - at, at + n - cut)
            return cut if near >= MIN_TRS else min((at, at + n), key=lambda edge: abs(edge - cut))
        at += n
    return cut


def _around(runs: Mapping[str, int], test: Sequence[Piece], gap: int, validation: float) -> Placed:
    """Test, validation and training blocks of one fold."""
    held = {run: (a, b) for run, a, b in test}
    pieces = []
    for run, n in runs.items():
        a, b = held.get(run, (n + gap, n + gap))
        pieces += [(run, 0, min(a - gap, n)), (run, b + gap, n)]
    free = [p for p in pieces if p[2] - p[1] >= MIN_TRS]
    usable = sum(b - a for _, a, b in [*free, *test])
    tested: Placed = [(run, Block("test", a, b)) for run, a, b in test]
    return tested + _best(_after(free, runs, test), max(MIN_TRS, round(validation * usable)), gap)


def _after(pieces: Sequence[Piece], runs: Mapping[str, int], test: Sequence[Piece]) -> list[Piece]:
    """Pieces in order, beginning behind the test block and going round."""
    order = list(runs)
    if not test:
        return list(pieces)
    last = (order.index(test[-1][0]), test[-1][2])
    behind = [p for p in pieces if (order.index(p[0]), p[1]) >= last]
    return behind + [p for p in pieces if p not in behind]


def _best(pieces: Sequence[Piece], wanted: int, gap: int) -> Placed:
    """Validation where most TRs are left to train on; among equals, soonest behind the test block."""
    places: list[Placed] = []
    for i in range(len(pieces)):
        ring = [*pieces[i:], *pieces[:i]]
        places.append(_taken(ring, wanted, gap, forward=True))
        places.append(_taken(ring[:1] + ring[:0:-1], wanted, gap, forward=False))
    return max(places, key=lambda placed: sum(b.stop - b.start for _, b in placed if b.label == "train"), default=[])


def _taken(pieces: Sequence[Piece], wanted: int, gap: int, *, forward: bool) -> Placed:
    """Take `wanted` TRs for validation from the beginning (the end) of the pieces; the rest, behind a gap, trains."""
    placed: Placed = []
    for run, a, b in pieces:
        take = min(b - a, max(wanted, MIN_TRS)) if wanted > 0 else 0
        rest = b - a - take - (gap if take else 0)
        take, rest = (take, rest) if rest >= MIN_TRS else (b - a, 0)
        parts: list[tuple[Label, int, int]] = [
            ("validation", a if forward else b - take, a + take if forward else b),
            ("train", b - rest if forward else a, b if forward else a + rest),
        ]
        placed += [(run, Block(label, start, stop)) for label, start, stop in parts if stop > start]
        wanted -= take
    return placed
