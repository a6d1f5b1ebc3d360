"""Time series on surfaces (GIFTI, one file a hemisphere) and in grayordinates (CIFTI), with their TR."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import seconds

GIFTI = (".gii",)
CIFTI = (".dtseries.nii", ".ptseries.nii")
MILLISECONDS_FROM = 50
"""FreeSurfer's `TimeStep` is in milliseconds; no scan has a TR of 50 s, and none one of less than 50 ms."""


def is_surface(path: Path) -> bool:
    """Whether a file holds a time series of vertices, grayordinates or their parcels."""
    return path.name.lower().endswith(GIFTI + CIFTI)


def read_surface(path: Path) -> NDArray[np.floating[Any]]:
    """A time series as [T, vertices]; vertices that are NaN throughout (the medial wall) are 0.

    Raises
    ------
    DataError
        If the file is missing, cannot be read or is no time series.
    """
    image = _load(path)
    table = _series_of(image, path) if _is_cifti(path) else _stacked(image, path)
    outside = np.isnan(table).all(0)
    return np.where(outside, 0, table) if outside.any() else table


def surface_shape(path: Path) -> tuple[int, int]:
    """Volumes and vertices; of CIFTI by the header alone.

    Raises
    ------
    DataError
        As `read_surface`.
    """
    image = _load(path)
    if not _is_cifti(path):
        table = _stacked(image, path)
        return table.shape[0], table.shape[1]
    _series(image, path)
    return int(image.shape[0]), int(image.shape[1])


def surface_tr_s(path: Path) -> Fraction | None:
    """The TR that the header states, None where it states none.

    Raises
    ------
    DataError
        If the file cannot be read, or its step is not one of time.
    """
    image = _load(path)
    if _is_cifti(path):
        axis = _series(image, path)
        if axis.unit != "SECOND":
            raise DataError(f"{path} has steps in {axis.unit.lower()}, not in seconds; give a series over time")
        return seconds(str(round(float(axis.step), 6))) if axis.step > 0 else None
    stated = next((d.meta["TimeStep"] for d in image.darrays if "TimeStep" in d.meta), image.meta.get("TimeStep"))
    return None if stated is None else _time_step(stated, path)


def _time_step(stated: str, path: Path) -> Fraction | None:
    try:
        value = seconds(stated)
    except DataError:
        raise DataError(f"{path} states a TimeStep of {stated!r}, which is no number; give --tr SECONDS") from None
    return (value / 1000 if value >= MILLISECONDS_FROM else value) or None


def _is_cifti(path: Path) -> bool:
    return path.name.lower().endswith(CIFTI)


def _load(path: Path) -> Any:
    import nibabel as nib

    if not path.is_file():
        raise DataError(f"there is no scan {path}")
    try:
        image = nib.load(path)
    except Exception as error:  # XML, zlib and NIfTI errors have no common base
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read: {line}; copy it again") from None
    if not isinstance(image, nib.Cifti2Image if _is_cifti(path) else nib.GiftiImage):
        raise DataError(f"{path} is no {'CIFTI-2' if _is_cifti(path) else 'GIFTI'} file, whatever its name says")
    return image


def _stacked(image: Any, path: Path) -> NDArray[np.floating[Any]]:
    """One array a volume, or one array [vertices, T]."""
    arrays = [np.asarray(d.data) for d in image.darrays]
    if len(arrays) == 1 and arrays[0].ndim == 2:
        return _real(arrays[0].T)
    if len(arrays) < 2 or {a.shape for a in arrays} != {arrays[0].shape} or arrays[0].ndim != 1:
        raise DataError(f"{path} is no time series: it holds {len(arrays)} arrays; give a .func.gii of all volumes")
    return _real(np.stack(arrays))


def _series(image: Any, path: Path) -> Any:
    from nibabel.cifti2 import SeriesAxis

    axis = image.header.get_axis(0)
    if not isinstance(axis, SeriesAxis):
        raise DataError(f"{path} is no time series: its rows are {type(axis).__name__}; give .dtseries or .ptseries")
    return axis


def _series_of(image: Any, path: Path) -> NDArray[np.floating[Any]]:
    _series(image, path)
    try:
        return _real(np.asarray(image.dataobj))
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} breaks off: {' '.join(str(error).split())}; copy it again") from None


def _real(table: NDArray[Any]) -> NDArray[np.floating[Any]]:
    return table if table.dtype.kind == "f" else table.astype(np.float64)
