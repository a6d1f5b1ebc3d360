"""Contiguous blocks with a gap: where training, validation and test happen, and nothing in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from giblet.errors import ConfigError, DataError

Label = Literal["train", "validation", "test"]
LABELS: tuple[Label, ...] = ("train", "validation", "test")
MIN_TRS = 20
MIN_GAP_S = 60.0


@dataclass(frozen=True, slots=True)
class Block:
    """TRs `start` to `stop` (half open) of one run, all of one purpose."""

    label: Label
    start: int
    stop: int

    @property
    def trs(self) -> slice:
        """The block as a slice of its run."""
        return slice(self.start, self.stop)


Split = dict[str, list[Block]]


def least_gap_s(kernel_s: float, context_s: float) -> float:
    """What reaches across a gap: forward kernel, inverse kernel and the longest feature context together."""
    return 2 * kernel_s + context_s


def required_gap_s(kernel_s: float, context_s: float) -> float:
    """The gap that is kept unless a person asks for a smaller one: at least 60 s, and all that reaches across it."""
    return max(MIN_GAP_S, least_gap_s(kernel_s, context_s))


def block_split(lengths: Mapping[str, int], gap: int, train: float, validation: float) -> Split:
    """Cut runs, in order, into training, validation and test blocks, with `gap` TRs wherever a run is cut.

    A piece of fewer than 20 TRs at a run's edge belongs to no block: its cleaning would fit all of it.

    Raises
    ------
    DataError
        If a purpose would have fewer than 20 TRs.
    """
    usable = sum(lengths.values()) - 2 * gap
    quota = {"train": round(train * usable), "validation": round(validation * usable)}
    labels = list(LABELS)
    left = quota["train"]
    split: Split = {}
    for run, n in lengths.items():
        split[run] = []
        at = 0
        while at < n:
            stop = n if len(labels) == 1 else min(n, at + max(left, 0))
            if stop > at:
                split[run].append(Block(labels[0], at, stop))
            left -= stop - at
            at = stop
            if left <= 0 and len(labels) > 1:
                labels.pop(0)
                left = quota.get(labels[0], 0)
                at += gap
    split = {run: [b for b in blocks if b.stop - b.start >= MIN_TRS] for run, blocks in split.items()}
    _refuse_short(split, sum(lengths.values()), gap)
    return split


def _refuse_short(split: Split, total: int, gap: int) -> None:
    for label in LABELS:
        n = sum(b.stop - b.start for blocks in split.values() for b in blocks if b.label == label)
        if n < MIN_TRS:
            raise DataError(
                f"too short to hold out a test block: {total} TRs leave {n} for {label} after gaps of {gap} TRs, and "
                f"{MIN_TRS} are needed; give more scans, or --plumbing to train and score on the same TRs, labelled so"
            )


def plumbing_split(lengths: Mapping[str, int]) -> Split:
    """Every TR trains, validates and tests: shows that the pipes hold, and nothing about brains."""
    return {run: [Block(label, 0, n) for label in LABELS] for run, n in lengths.items()}


def given_split(given: Mapping[str, Sequence[tuple[str, int, int]]], lengths: Mapping[str, int], gap: int) -> Split:
    """The split that a study file states, checked.

    Raises
    ------
    ConfigError
        If a run, label or range does not exist, blocks overlap, or the gap between two purposes is too small.
    """
    split: Split = {run: [] for run in lengths}
    for run, rows in given.items():
        if run not in lengths:
            raise ConfigError(f"[split] names run {run!r}; the study has: {', '.join(lengths)}")
        for label, start, stop in rows:
            if label not in LABELS:
                raise ConfigError(f"[split] of {run}: {label!r} is none of {', '.join(LABELS)}")
            if not 0 <= start < stop <= lengths[run]:
                raise ConfigError(f"[split] of {run}: TRs {start} to {stop} are not inside 0 to {lengths[run]}")
            split[run].append(Block(label, start, stop))
        split[run].sort(key=lambda b: b.start)
        _check_gaps(run, split[run], gap)
    _refuse_short(split, sum(lengths.values()), gap)
    return split


def _check_gaps(run: str, blocks: Sequence[Block], gap: int) -> None:
    for before, after in pairwise(blocks):
        least = gap if before.label != after.label else 0
        if after.start - before.stop < least:
            raise ConfigError(
                f"[split] of {run}: {before.label} ends at TR {before.stop} and {after.label} begins at {after.start}; "
                f"at least {least} TRs must lie between (kernels and feature context reach that far)"
            )
