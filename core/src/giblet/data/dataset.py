"""What the model trains on: runs on their TR grids, and the windows drawn from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from giblet.data.split import Block, Label
from giblet.types import Aligned, Float, Int, Nuisance, TRGrid

PROBES = 64
LEAST = 1e-5
"""What is left of unit columns below this is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Cleaning:
    """What cleaning does to a block of n TRs: x - out @ (into @ x), with `into` [K, n] and `out` [n, K].

    Drifts and trends are few beside the TRs of a block: in this form the cost grows with K n, not with n squared.
    """

    into: NDArray[np.float32]
    out: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: Float) -> Cleaning:
        """Of the linear map [n, n] that cleaning is.

        Random combinations of what it takes out span all of that, once they are more than its rank (Halko et al. 2011,
        doi:10.1137/090771806).
        """
        n, rng = len(matrix), np.random.default_rng(0)
        gone, probes = np.eye(n) - matrix, PROBES
        while True:
            u, s, _ = np.linalg.svd(gone @ rng.standard_normal((n, min(n, probes))), full_matrices=False)
            rank = int((s > LEAST * n**0.5).sum())
            if rank < probes or probes >= n:
                return cls((u[:, :rank].T @ gone).astype(np.float32), u[:, :rank].astype(np.float32))
            probes *= 2


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """One run: its clock, its blocks, the aligned features of its stimulus, and the scans of those who were there.

    `scans[subject]` is cleaned BOLD [T, V], zero outside blocks; `scanned[subject]` [T] says which TRs were measured.
    `cleaning[start, stop]` is what cleaning does to the volumes of a block: a prediction goes through it too. Where a
    scan ends inside a block, `ending[subject]` is from where to where it was measured, and what cleaning does to that.
    `nuisance[subject]` is what left their scan beside; `confounds[subject][start, stop]`, V [n, K], is what that took
    out of a block, and leaves predictions x for them as V V'x. Where the brain space is learned, `scans` are its units
    [T, U] and `voxels[subject]` [T, V] what they were made from.
    """

    run: str
    grid: TRGrid
    blocks: tuple[Block, ...]
    aligned: Mapping[str, Aligned]
    scans: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    scanned: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    cleaning: Mapping[tuple[int, int], Cleaning] = field(default_factory=dict)
    ending: Mapping[str, tuple[int, int, Cleaning]] = field(default_factory=dict)
    nuisance: Mapping[str, Nuisance] = field(default_factory=dict)
    confounds: Mapping[str, Mapping[tuple[int, int], NDArray[np.float32]]] = field(default_factory=dict)
    voxels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def cleaned_blocks(self, subject: str | None) -> Iterator[tuple[slice, Cleaning]]:
        """What cleaning does to each block of somebody's scan, or of a whole one (None)."""
        start, stop, cut = self.ending.get(subject or "", (0, 0, None))
        for (first, last), whole in self.cleaning.items():
            yield (slice(start, stop), cut) if cut is not None and first == start else (slice(first, last), whole)

    def measured(self, block: Block) -> list[str]:
        """The people of whom anything was measured in a block."""
        return [s for s in sorted(self.scans) if self.scanned[s][block.trs].any()]

    def of(self, *labels: Label) -> list[Block]:
        """The blocks of these purposes, in time."""
        return [b for b in self.blocks if b.label in labels]

    def trs(self, *labels: Label) -> Int:
        """The TRs of these purposes."""
        return block_trs(self.of(*labels))


def block_trs(blocks: Sequence[Block]) -> Int:
    """All TRs of some blocks, in order."""
    return np.concatenate([np.zeros(0, np.int64), *(np.arange(b.start, b.stop) for b in blocks)])


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Rows of one run that a sample reads: `rows` [L] to index with, `inside` [L] those of its own block, and
    `supervised` [L] those that are scored. Rows that are not inside must be masked.
    """

    timeline: int
    rows: Int
    inside: NDArray[np.bool_]
    supervised: NDArray[np.bool_]


def window(timeline: int, block: Block, start: int, width: int, before: int, after: int) -> Window:
    """A window of `width` supervised TRs at `start`, with context on either side that never leaves its block."""
    rows = np.arange(start - before, start + width + after)
    inside = (rows >= block.start) & (rows < block.stop)
    supervised = inside & (rows >= start) & (rows < start + width)
    return Window(timeline, rows.clip(block.start, block.stop - 1), inside, supervised)


def draw_windows(
    timelines: Sequence[Timeline],
    rng: np.random.Generator,
    n: int,
    width: int,
    before: int,
    after: int,
    labels: Sequence[Label] = ("train",),
) -> list[Window]:
    """Draw n windows of some blocks, every possible start equally likely; a block shorter than one gives one start."""
    places = [(i, b) for i, t in enumerate(timelines) for b in t.of(*labels)]
    starts = np.array([max(1, b.stop - b.start - width + 1) for _, b in places])
    chosen = rng.choice(len(places), size=n, p=starts / starts.sum())
    return [
        window(places[c][0], places[c][1], places[c][1].start + int(rng.integers(starts[c])), width, before, after)
        for c in chosen
    ]


def cover_windows(
    timelines: Sequence[Timeline], rng: np.random.Generator, width: int, labels: Sequence[Label] = ("train",)
) -> list[Window]:
    """Windows that hold every training TR once, with borders that move from call to call.

    A window that reaches beyond its block is supervised inside it alone; neighbours never share a TR.
    """
    found = []
    for i, t in enumerate(timelines):
        for b in t.of(*labels):
            first = b.start - int(rng.integers(min(width, b.stop - b.start)))
            found += [window(i, b, start, width, 0, 0) for start in range(first, b.stop, width)]
    return found
