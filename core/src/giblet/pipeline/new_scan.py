"""A scan that the run has never seen, read as the run's own were: the same space, clock and cleaning."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.data.bids_tree import Image
from giblet.data.bold import scan_problems
from giblet.data.naming import entities_of
from giblet.data.scan_header import inspect_bold, is_table, refuse_for_images
from giblet.data.split import MIN_TRS
from giblet.errors import ConfigError, DataError, did_you_mean
from giblet.pipeline.cleaned import scaled
from giblet.pipeline.nuisance import nuisance_of, regressors
from giblet.pipeline.reopen import Reopened
from giblet.types import ALONE, ScanFiles, Source, TRGrid

SAME_TR_S = Fraction(1, 1000)
"""TRs count as one if they differ by less: headers are rounded to the millisecond."""


def read_scan(
    again: Reopened, scan: Path, subject: str | None, tr_s: Fraction | None, files: ScanFiles = ALONE
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A scan [T, V], cleaned as one block with the run's settings, in SDs of the person's training scans.

    Beside it, which of its TRs [T] can be used: those that are censored are 0. Somebody new has no training scans: then
    it is in SDs of this one. Where the run's scans were cleaned of confounds, this one is too.

    Raises
    ------
    ConfigError
        If the run has no such subject, or an image is to be read as a table.
    DataError
        If the scan is not in the space of the run's, has another TR, is too short to be cleaned, or its confounds are
        missing, or it is constant or broken.
    """
    if subject is not None and subject not in again.subjects:
        raise ConfigError(
            f"--subject {subject!r} is nobody of the run; {did_you_mean(subject, again.subjects)}; "
            "leave it out for somebody new"
        )
    refuse_for_images(scan, files.transposed, files.variable, files.right)
    n_volumes = _require_clock(again, scan, tr_s, files)
    source = Source(scan, subject=subject, scan=files)
    nuisance = nuisance_of(again.brain, source, n_volumes)
    features = stages.extract(again.registry, again.brain, source)
    _require_space(again, scan, features.values.shape, subject)
    if problems := scan_problems(scan, files):
        raise DataError(f"{scan} cannot be read back: {'; '.join(problems)}; give a scan that was measured")
    grid = TRGrid(again.blueprint.tr_s, len(features.values))
    values, _ = stages.align(again.registry, again.brain, features, grid).rows(slice(None), 1)
    confounds, censored = (None, None) if nuisance is None else regressors(nuisance, grid.n_trs)
    y = again.brain.clean(values[:, 0], [slice(0, grid.n_trs)], float(grid.tr_s), confounds).astype(np.float32)
    known = None if subject is None else again.bold_sd.get(subject)
    used = np.ones(len(y), bool) if censored is None else ~censored
    y = again.brain.to_space(scaled(y, y[used].std(0) if known is None else known), subject)
    return y * used[:, None], used


def as_the_runs(again: Reopened, scan: Path, subject: str | None, files: ScanFiles) -> ScanFiles:
    """How a scan is read, and what belongs to it: where nobody says it, as the person's scans in the run were read.

    Of somebody new it is as everybody's were. The table of confounds is the one that fMRIPrep wrote beside the scan.

    Raises
    ------
    ConfigError
        If the run took other columns of confounds from other scans.
    DataError
        If the run's scans were cleaned of confounds and this one has none, or the other way about.
    """
    beside = _with_confounds(again, scan, files)
    told = [row for row in again.read_as if subject in (None, row["subject"])]
    names = {row["variable"] for row in told}
    if scan.suffix.lower() == ".mat" and beside.variable is None and len(names) == 1:
        beside = replace(beside, variable=names.pop())
    chosen = {tuple(row["confound_columns"]) for row in told}
    if beside.confounds is None or beside.confound_columns or not any(chosen):
        return beside
    if len(chosen) > 1:
        said = "; ".join(", ".join(columns) or "all" for columns in sorted(chosen))
        raise ConfigError(f"the run's scans lost different columns of confounds ({said}); give --confound-column NAME")
    return replace(beside, confound_columns=chosen.pop())


def _with_confounds(again: Reopened, scan: Path, files: ScanFiles) -> ScanFiles:
    if files.confounds is not None and not again.confounds:
        raise DataError(f"the run's scans were not cleaned of confounds; leave {files.confounds.name} out")
    if files.confounds is not None or not again.confounds:
        return files
    beside = Image(scan, entities_of(scan.name), frozenset(p.name for p in scan.parent.glob("*_desc-confounds_*.tsv")))
    if beside.confounds is None:
        raise DataError(f"the run's scans were cleaned of confounds, {scan} has none beside it; give --confounds FILE")
    return replace(files, confounds=beside.confounds)


def clock_notes(again: Reopened, scan: Path, tr_s: Fraction | None, files: ScanFiles = ALONE) -> list[str]:
    """What was assumed of a scan's clock: its TR is the run's where neither the file nor `tr_s` says it."""
    if inspect_bold(scan, tr_s, files).tr_s is not None:
        return []
    return [f"TR not stated, taken as {float(again.blueprint.tr_s):g} s"]


def _require_clock(again: Reopened, scan: Path, tr_s: Fraction | None, files: ScanFiles) -> int:
    """How many volumes a scan has: the model's kernels are counted in TRs, so it must have the same, and enough."""
    info = inspect_bold(scan, tr_s, files)
    if is_table(scan) != again.tables:
        is_a, were = ("a table", "images") if is_table(scan) else ("an image", "tables")
        raise DataError(f"{scan} is {is_a}, the run's scans are {were}; give a scan in the run's space")
    if info.tr_s is not None and abs(info.tr_s - again.blueprint.tr_s) >= SAME_TR_S:
        raise DataError(
            f"{scan} has a TR of {float(info.tr_s):g} s, the run's scans have {float(again.blueprint.tr_s):g} s; the "
            "model reads its own TR only: train on scans like this one"
        )
    if info.n_volumes < MIN_TRS:
        raise DataError(f"{scan} has {info.n_volumes} volumes; at least {MIN_TRS} are needed to take its drift out")
    return info.n_volumes


def _require_space(again: Reopened, scan: Path, shape: tuple[int, ...], subject: str | None) -> None:
    sizes = {who: len(sd) for who, sd in again.bold_sd.items()}
    wanted = {sizes[subject]} if subject in sizes else set(sizes.values())
    if shape[1] not in wanted:
        said = " or ".join(map(str, sorted(wanted)))
        raise DataError(f"{scan} has {shape[1]} voxels or parcels, the run's have {said}; give a scan in its space")
