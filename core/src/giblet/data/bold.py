"""Is a scan whole? Constant, broken, flipped or short people are named; leaving them out is the user's decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from giblet.data.scan_header import BoldInfo, inspect_bold, is_table
from giblet.errors import DataError
from giblet.types import ALONE, Float, ScanFiles, Source

if TYPE_CHECKING:
    from giblet.data.parts import Scan

__all__ = [
    "BoldInfo",
    "check_scan",
    "check_subjects",
    "inspect_bold",
    "require_sound",
    "scan_problems",
    "slabs",
    "turn_advice",
]

SLAB_BYTES = 32 << 20
SHORT = 0.9
"""A scan is short if it has fewer volumes than this part of the median of its run."""
STUCK = 3
"""So many equal volumes at the end are an acquisition that broke off and was filled up."""


@dataclass(slots=True)
class _Seen:
    """What one pass over a scan keeps: per voxel or column its range and its missing samples."""

    low: Float
    high: Float
    missing: NDArray[np.int64]
    infinite: int = 0
    n: int = 0
    changed: int = 0
    last: Float | None = None

    @classmethod
    def of(cls, width: int) -> _Seen:
        return cls(np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width, np.int64))

    def add(self, slab: Float) -> None:
        """Take in volumes [n, V]."""
        bad = ~np.isfinite(slab)
        if bad.any():
            self.infinite += int(np.isinf(slab).sum())
            self.missing += np.isnan(slab).sum(0)
        self.low = np.fmin(self.low, np.fmin.reduce(slab, 0))
        self.high = np.fmax(self.high, np.fmax.reduce(slab, 0))
        clean = np.nan_to_num(slab) if bad.any() else slab
        before = clean[:1] if self.last is None else self.last[None]
        moved = np.flatnonzero((np.concatenate([before, clean[:-1]]) != clean).any(1))
        if len(moved):
            self.changed = self.n + int(moved[-1])
        self.n, self.last = self.n + len(slab), clean[-1].copy()


def slabs(path: Path, max_bytes: int = SLAB_BYTES, files: ScanFiles = ALONE) -> Iterator[Float]:
    """A scan as pieces [n, V] in order, never more than `max_bytes` of it in memory (a table is one piece).

    Raises
    ------
    DataError
        If the file ends before its header says.
    """
    from giblet.media import open_image, read_scan_table, volume_slabs

    if is_table(path):
        yield read_scan_table(Source(path, scan=files))
        return
    image = open_image(path)
    for _, slab in volume_slabs(path, image, limit=max_bytes):
        yield slab.reshape(-1, slab.shape[3], order="F").T


def scan_problems(path: Path, files: ScanFiles = ALONE) -> list[str]:
    """What is wrong with one scan by itself, in a few words each; an empty list where nothing is."""
    seen: _Seen | None = None
    try:
        for slab in slabs(path, files=files):
            seen = seen or _Seen.of(slab.shape[1])
            seen.add(slab)
    except DataError as error:
        return [str(error)]
    if seen is None or seen.n < 2:
        return [f"{path.name} has {seen.n if seen else 0} volumes"]
    return [f"{path.name}: {p}" for p in _problems(seen, _unit(path))]


def _unit(path: Path) -> str:
    """What a scan is made of: of parcels none may be constant, voxels and vertices outside of the brain are."""
    from giblet.media.surfaces import is_surface

    return "vertices" if is_surface(path) else "columns" if is_table(path) else "voxels"


def _problems(seen: _Seen, unit: str) -> Iterator[str]:
    if seen.infinite:
        yield f"{seen.infinite} values are infinite"
    gone = seen.missing == seen.n
    holes = int(((seen.missing > 0) & (~gone if unit != "columns" else True)).sum())
    if holes:
        yield f"{holes} of {len(gone)} {unit} have missing values (NaN)"
    constant = ~gone & (seen.high <= seen.low)
    if (constant | gone).all():
        zero = constant.any() and not seen.low[constant].any()
        what = "zero" if zero else "constant" if constant.any() else "missing (NaN)"
        yield f"all {len(gone)} {unit} are {what} throughout"
    elif unit == "columns" and constant.any():
        yield f"{int(constant.sum())} of {len(gone)} columns are constant (the first: {int(constant.argmax())})"
    elif len(gone) > 1 and seen.n - seen.changed >= STUCK:
        yield f"its last {seen.n - seen.changed} volumes are all the same: it breaks off at volume {seen.changed + 1}"


def check_scan(path: Path, subject: str) -> None:
    """Refuse a scan that is constant, broken, or has missing or infinite values.

    Raises
    ------
    DataError
        Naming the subject, what is wrong and the way out.
    """
    _refuse([f"subject {subject}: {p}" for p in scan_problems(path)], [subject])


def check_subjects(scans: Sequence[Scan]) -> list[str]:
    """What is wrong over all scans of a study, one line a scan that has something; compared with the others, too."""
    return [f"subject {s.subject} ({s.run}): {'; '.join(p)}" for s, p in _found(scans)]


def require_sound(scans: Sequence[Scan]) -> None:
    """Refuse a study in which a scan is broken.

    Raises
    ------
    DataError
        One line that names each subject, what is wrong with it and the way out.
    """
    found = _found(scans)
    _refuse([f"subject {s.subject} ({s.run}): {'; '.join(p)}" for s, p in found], [s.subject for s, _ in found])


def _refuse(problems: list[str], subjects: list[str]) -> None:
    if problems:
        flags = " ".join(f"--exclude {s}" for s in dict.fromkeys(subjects))
        raise DataError(f"{'. '.join(problems)}. Repair the files, or leave them out with {flags}")


def _found(scans: Sequence[Scan]) -> list[tuple[Scan, list[str]]]:
    """Each scan that has a problem, with its problems."""
    shapes = {i: inspect_bold(s.bold, s.tr_s, s.files).shape for i, s in enumerate(scans) if is_table(s.bold)}
    common = _common(list(shapes.values()))
    found = []
    for i, scan in enumerate(scans):
        problems = scan_problems(scan.bold, scan.files)
        flipped = [] if scan.files.transposed is False else _flipped(shapes.get(i), common, scan.files)
        problems += flipped or _short(scan, scans) + _other_width(shapes.get(i), common)
        if problems:
            found.append((scan, problems))
    return found


def _common(shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape that most tables have; of two, the one with more TRs than parcels."""
    counts = Counter(shapes)
    return max(counts, key=lambda s: (counts[s], s[0] - s[1])) if len(shapes) > 1 else None


def turn_advice(files: ScanFiles) -> str:
    """What to do about a table that looks flipped."""
    if files.transposed:
        return "it is declared transposed: leave that out"
    true, false = "transposed = true in [[scan]] of study.toml, or --transposed", "transposed = false"
    return f"where a row is a parcel say {true}; where a row is a TR after all, {false}"


def _flipped(shape: tuple[int, ...] | None, common: tuple[int, ...] | None, files: ScanFiles) -> list[str]:
    if shape is None or common is None or shape == common:
        return []
    if shape[::-1] != common and not (shape[1] > shape[0] and common[0] > common[1] and shape[0] == common[1]):
        return []
    return [
        f"it looks flipped: {shape[0]} rows x {shape[1]} columns, the others {common[0]} x {common[1]}; "
        f"{turn_advice(files)}"
    ]


def _other_width(shape: tuple[int, ...] | None, common: tuple[int, ...] | None) -> list[str]:
    if shape is None or common is None or shape[1] == common[1]:
        return []
    return [f"it has {shape[1]} columns where the others have {common[1]}"]


def _short(scan: Scan, scans: Sequence[Scan]) -> list[str]:
    others = [s.n_volumes for s in scans if (s.run, s.stimulus) == (scan.run, scan.stimulus) and s is not scan]
    if len(others) < 2 or scan.n_volumes >= SHORT * median(others):
        return []
    return [f"it is short: {scan.n_volumes} volumes where the others have {median(others):g}"]
