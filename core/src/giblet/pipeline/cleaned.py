"""One person's scans, cleaned block by block and scaled by training TRs: made once, some voxels at a time, and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.alignment.cleaning import COLUMNS_AT_ONCE
from giblet.brain import BrainModality
from giblet.data.dataset import Timeline
from giblet.data.scan_files import CleanScans, read_scans, write_scans
from giblet.data.scratch import SLAB_BYTES
from giblet.data.split import MIN_TRS
from giblet.data.store import array_hash, digest, features_folder
from giblet.data.study import Scan
from giblet.errors import DataError
from giblet.pipeline.nuisance import regressors
from giblet.types import Aligned, Array, Float, Int, Nuisance

Scale = NDArray[np.floating[Any]]
LAYOUT = "1"
PROBES = 8
"""Columns of noise whose cleaning stands for the cleaning of a scan."""
DECIMALS = 6
"""To which their cleaning must agree: far more than the order of sums decides, far less than any setting does."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A scan on the grid of its run, not cleaned yet: which TRs can be used [T], its blocks, and its confounds."""

    scan: Scan
    timeline: Timeline
    aligned: Aligned
    there: NDArray[np.bool_]
    blocks: tuple[slice, ...]
    confounds: Float | None

    @classmethod
    def of(cls, scan: Scan, t: Timeline, aligned: Aligned, nuisance: Nuisance | None) -> Part:
        """What of a scan lies in a block and is not censored; a piece at its end may be too short to be cleaned."""
        measured = int(aligned.valid.sum())
        reached = {(b.start, min(b.stop, measured)) for b in t.blocks}
        bounds = sorted((start, stop) for start, stop in reached if stop - start >= MIN_TRS)
        there = np.zeros(t.grid.n_trs, bool)
        for start, stop in bounds:
            there[start:stop] = True
        confounds, censored = (None, None) if nuisance is None else regressors(nuisance, t.grid.n_trs)
        usable = there if censored is None else there & ~censored
        return cls(scan, t, aligned, usable, tuple(slice(*b) for b in bounds), confounds)

    @property
    def training(self) -> Int:
        """The training TRs that were measured."""
        trs = self.timeline.trs("train")
        return trs[self.there[trs]]

    @property
    def ending(self) -> slice | None:
        """Where the scan ends inside a block: what of that was measured."""
        whole = {(b.start, b.stop) for b in self.timeline.blocks}
        return next((b for b in self.blocks if (b.start, b.stop) not in whole), None)

    def clean(self, brain: BrainModality, values: Array) -> NDArray[np.float32]:
        """Columns [T, n] cleaned block by block; 0 at TRs that cannot be used."""
        with _named(self.scan):
            y = brain.clean(values, self.blocks, float(self.timeline.grid.tr_s), self.confounds)
        return (y * self.there[:, None]).astype(np.float32)

    def voxels(self, some: slice) -> Array:
        """Some voxels as they were measured, [T, n]; 0 after the last volume."""
        features = self.aligned.features
        narrow = replace(self.aligned, features=features.with_values(features.values[:, some]))
        return narrow.rows(slice(None), 1)[0][:, 0]


@contextmanager
def _named(scan: Scan) -> Iterator[None]:
    """Say whose scan it is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"subject {scan.subject} ({scan.run}): {error}; or --exclude {scan.subject}") from None


def clean_person(brain: BrainModality, version: str, parts: Sequence[Part]) -> CleanScans:
    """All runs of one person, cleaned and divided by the SD of each voxel over training TRs.

    They are kept beside the features, by what they were made from and what was done to them; `version` is that of the
    brain modality.

    Raises
    ------
    DataError
        If a scan cannot be cleaned, or none of them has a training TR.
    GibletError
        If the disk is full or cannot be written.
    """
    who = parts[0].scan.subject
    if not sum(len(p.training) for p in parts):
        raise DataError(f"{who} has no training TRs; leave them out with --exclude {who}, or give more runs")
    folder = features_folder() / digest([LAYOUT, brain.name, version, [_key(brain, p) for p in parts]])
    lengths = [p.timeline.grid.n_trs for p in parts]
    found = read_scans(folder, lengths)
    if found is None:
        shape = (sum(lengths), parts[0].aligned.features.values.shape[1])
        write_scans(folder, _slabs(brain, parts, shape), shape, f"cleaned scans of {who}")
        found = read_scans(folder, lengths)
    assert found is not None
    return found


def _key(brain: BrainModality, part: Part) -> list[Any]:
    """What decides a cleaned scan: its values, its TRs, and what cleaning does to any column of it.

    The latter is tried, not read off the settings: one that cleaning does not use makes no scan anew.
    """
    a = part.aligned
    noise = np.random.default_rng(0).standard_normal((len(part.there), PROBES))
    with _named(part.scan):
        tried = brain.clean(noise, part.blocks, float(part.timeline.grid.tr_s), part.confounds)
    where = [a.first, a.count, *([] if a.kept is None else [a.kept]), part.there, part.training]
    return [array_hash(x) for x in (a.features.values, *where, np.round(tried, DECIMALS) + 0.0)]


def _slabs(
    brain: BrainModality, parts: Sequence[Part], shape: tuple[int, int]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """As many voxels of all runs at once as memory is meant for, cleaned and scaled [N, n], and their SDs [n]."""
    rows, width = shape
    step = max(1, min(COLUMNS_AT_ONCE, SLAB_BYTES // (4 * rows)))
    for start in range(0, width, step):
        some = slice(start, min(start + step, width))
        y = [p.clean(brain, p.voxels(some)) for p in parts]
        sd = np.concatenate([x[p.training] for x, p in zip(y, parts, strict=True)]).std(0)
        yield np.concatenate([scaled(x, sd) for x in y]), sd


def scaled(y: NDArray[np.float32], sd: Scale) -> NDArray[np.float32]:
    """BOLD [T, V] over the SD [V] of each voxel; 0 where a voxel does not vary."""
    return np.divide(y, sd, out=np.zeros_like(y), where=sd > 0)
