"""A scan that the run has never seen, read as the run's own were: the same space, clock and cleaning."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.data.scan_header import inspect_bold, is_table
from giblet.data.split import MIN_TRS
from giblet.errors import ConfigError, DataError, did_you_mean
from giblet.pipeline.reopen import Reopened
from giblet.pipeline.scans import scaled
from giblet.types import Source, TRGrid

SAME_TR_S = Fraction(1, 1000)
"""TRs count as one if they differ by less: headers are rounded to the millisecond."""


def read_scan(again: Reopened, scan: Path, subject: str | None, tr_s: Fraction | None) -> NDArray[np.float32]:
    """A scan [T, V], cleaned as one block with the run's settings, in SDs of the person's training scans.

    Somebody new has none: then in SDs of this scan.

    Raises
    ------
    ConfigError
        If the run has no such subject.
    DataError
        If the scan is not in the space of the run's, has another TR, or is too short to be cleaned.
    """
    if subject is not None and subject not in again.subjects:
        raise ConfigError(
            f"--subject {subject!r} is nobody of the run; {did_you_mean(subject, again.subjects)}; "
            "leave it out for somebody new"
        )
    _require_clock(again, scan, tr_s)
    features = stages.extract(again.registry, again.brain, Source(scan, subject=subject))
    _require_space(again, scan, features.values.shape, subject)
    grid = TRGrid(again.blueprint.tr_s, len(features.values))
    values, _ = stages.align(again.registry, again.brain, features, grid).rows(slice(None), 1)
    y = again.brain.clean(values[:, 0], [slice(0, grid.n_trs)], float(grid.tr_s)).astype(np.float32)
    return scaled(y, y.std(0) if subject is None else again.bold_sd[subject])


def clock_notes(again: Reopened, scan: Path, tr_s: Fraction | None) -> list[str]:
    """What was assumed of a scan's clock: its TR is the run's where neither the file nor `tr_s` says it."""
    if inspect_bold(scan, tr_s).tr_s is not None:
        return []
    return [f"TR not stated, taken as {float(again.blueprint.tr_s):g} s"]


def _require_clock(again: Reopened, scan: Path, tr_s: Fraction | None) -> None:
    """The model's kernels are counted in TRs: a scan must have the same, and enough of them."""
    info = inspect_bold(scan, tr_s)
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


def _require_space(again: Reopened, scan: Path, shape: tuple[int, ...], subject: str | None) -> None:
    sizes = again.blueprint.voxels
    wanted = {sizes[subject]} if subject is not None else set(sizes.values())
    if shape[1] not in wanted:
        said = " or ".join(map(str, sorted(wanted)))
        raise DataError(f"{scan} has {shape[1]} voxels or parcels, the run's have {said}; give a scan in its space")
