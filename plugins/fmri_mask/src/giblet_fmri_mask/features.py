"""What a scan's file is, its clock, and the values of slabs of its volumes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from giblet.errors import DataError
from giblet.types import Array, Float
from numpy.typing import NDArray

TABLES = (".txt", ".tsv", ".csv", ".npy", ".mat", ".func.gii", ".dtseries.nii", ".ptseries.nii")
IMAGES = (".nii", ".nii.gz", ".img", ".hdr", ".img.gz", ".hdr.gz")
SECONDS = {"sec": Fraction(1), "msec": Fraction(1, 1000), "usec": Fraction(1, 1_000_000), "unknown": Fraction(1)}


def is_table(path: Path) -> bool:
    """Whether a file is a table of parcels or vertices, [time, columns]; else it is an image.

    Raises
    ------
    DataError
        If its name says neither.
    """
    from giblet.media import is_scan_table

    if is_scan_table(path):
        return True
    if path.name.lower().endswith(IMAGES):
        return False
    raise DataError(f"{path} is neither an image nor a table; legal: {', '.join((*IMAGES[:2], *TABLES))}")


def tr_s(image: Any) -> Fraction:
    """The repetition time that the header states, exactly as printed and in its own unit; 1 where it states none.

    It only paces the feature clock: which volume belongs to which TR goes by the volume's number.
    """
    zoom, unit = image.header.get_zooms()[3], image.header.get_xyzt_units()[1]
    stated = Fraction(str(zoom)) if np.isfinite(zoom) and zoom > 0 else Fraction(0)
    return stated * SECONDS.get(unit, Fraction(1)) or Fraction(1)


def places(mask: Array) -> NDArray[np.int64]:
    """Where the voxels of a mask [X, Y, Z], in C order, lie in a volume as files hold it: x runs fastest, [V]."""
    x, y, z = np.nonzero(mask)
    return np.asarray(x + mask.shape[0] * (y + mask.shape[1] * z), np.int64)


def inside(slab: Array, at: NDArray[np.int64]) -> Array:
    """The voxels at `places` of a slab [X, Y, Z, n] as [n, V]; volume by volume, as they lie in the file."""
    return np.take(slab.T.reshape(slab.shape[3], -1), at, axis=1)


def smoothed(slab: Array, affine: Float, fwhm_mm: float) -> Array:
    """Volumes [X, Y, Z, n] under a Gaussian of this full width at half maximum; values that are not finite count 0."""
    import nibabel as nib
    from nilearn.image import smooth_img

    return np.asarray(smooth_img(nib.Nifti1Image(slab.astype(np.float32), affine), fwhm_mm).dataobj)


def finite(values: Array, path: Path, first: int) -> NDArray[np.float32]:
    """Values [n, V] as float32.

    Raises
    ------
    DataError
        If some are not finite.
    """
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        rows = first + np.flatnonzero(~np.isfinite(values).all(1))
        where = f"from volume {rows[0]} to {rows[-1]} (counted from 0)"
        raise DataError(f"{path} holds {bad} values that are not finite, {where}; repair them or leave it out")
    return np.ascontiguousarray(values, dtype=np.float32)
