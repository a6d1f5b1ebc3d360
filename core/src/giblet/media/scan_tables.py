"""Scans that are tables [time, columns] rather than images: parcels, vertices, grayordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.series import SUFFIXES, read_series
from giblet.media.surfaces import is_surface, read_surface, surface_shape
from giblet.types import Source


def is_scan_table(path: Path) -> bool:
    """Whether a scan is a table of parcels or vertices, [time, columns], rather than an image."""
    return path.suffix.lower() in SUFFIXES or is_surface(path)


def read_scan_table(source: Source) -> NDArray[np.floating[Any]]:
    """A scan as [T, P]: turned if it is declared transposed, the right hemisphere's columns behind the left's.

    Raises
    ------
    DataError
        If a file is missing or broken, or hemispheres differ in volumes.
    """
    scan = source.scan
    table = _read(source.path, bool(scan.transposed), scan.variable)
    if scan.right is None:
        return table
    right = _read(scan.right, bool(scan.transposed), scan.variable)
    if len(right) != len(table):
        raise DataError(f"{scan.right} has {len(right)} volumes, the left hemisphere {len(table)}; give one run's two")
    return np.concatenate([table, right], axis=1)


def scan_table_shape(source: Source) -> tuple[int, int]:
    """Volumes and columns of a scan that is a table; a CIFTI file's data are not read.

    Raises
    ------
    DataError
        As `read_scan_table`.
    """
    if is_surface(source.path) and source.scan.right is None:
        return surface_shape(source.path)
    shape = read_scan_table(source).shape
    return shape[0], shape[1]


def _read(path: Path, transposed: bool, variable: str | None) -> NDArray[np.floating[Any]]:
    if not is_surface(path):
        return read_series(path, transposed, variable)
    if transposed:
        raise DataError(f"{path} says itself which axis is time; leave transposed out")
    return read_surface(path)
