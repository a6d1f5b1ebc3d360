"""Reading scans in slabs of volumes, with bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from giblet.errors import DataError
from giblet.types import Array
from numpy.typing import NDArray

TABLES = (".txt", ".tsv", ".csv", ".npy")
IMAGES = (".nii", ".nii.gz", ".img", ".hdr", ".img.gz", ".hdr.gz")
SLAB_BYTES = 32 << 20
SECONDS = {"sec": Fraction(1), "msec": Fraction(1, 1000), "usec": Fraction(1, 1_000_000), "unknown": Fraction(1)}


def is_table(path: Path) -> bool:
    """Whether a file is a table of parcels, [time, parcels]; else it is an image.

    Raises
    ------
    DataError
        If its name says neither.
    """
    name = path.name.lower()
    if name.endswith(TABLES):
        return True
    if name.endswith(IMAGES):
        return False
    raise DataError(f"{path} is neither an image nor a table; legal: {', '.join((*IMAGES[:2], *TABLES))}")


def load_image(path: Path, dimensions: int = 4) -> Any:
    """Open an image without reading its volumes.

    Raises
    ------
    DataError
        If it is missing, no image, or has another number of dimensions.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nib.load(path, keep_file_open=True)  # else .nii.gz is unpacked from its start for each slab
    except FileNotFoundError:
        raise DataError(f"there is no image {path}") from None
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an image: {' '.join(str(error).split())}") from None
    if len(image.shape) != dimensions:
        want = "a series [x, y, z, time]" if dimensions == 4 else "a mask [x, y, z]"
        raise DataError(f"{path} has {len(image.shape)} dimensions {image.shape}; give {want}")
    return image


def tr_s(image: Any) -> Fraction:
    """The repetition time that the header states, exactly as printed and in its own unit; 1 where it states none.

    It only paces the feature clock: which volume belongs to which TR goes by the volume's number.
    """
    zoom, unit = image.header.get_zooms()[3], image.header.get_xyzt_units()[1]
    stated = Fraction(str(zoom)) if np.isfinite(zoom) and zoom > 0 else Fraction(0)
    return stated * SECONDS.get(unit, Fraction(1)) or Fraction(1)


def slabs(path: Path, image: Any, part: slice = slice(None), limit: int = SLAB_BYTES) -> Iterator[tuple[int, Array]]:
    """The volumes of `part` in order, a slab [X, Y, Z, n] of at most `limit` bytes at a time, with its first index.

    Raises
    ------
    DataError
        If the file breaks off or is damaged.
    """
    start, stop, _ = part.indices(image.shape[3])
    step = max(1, limit // (8 * int(np.prod(image.shape[:3]))))
    for first in range(start, stop, step):
        try:
            yield first, np.asanyarray(image.dataobj[..., first : min(first + step, stop)])
        except (OSError, EOFError, ValueError, zlib.error) as error:
            cause = " ".join(str(error).split())
            raise DataError(f"{path} breaks off or is damaged at volume {first}: {cause}; copy it again") from None


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
