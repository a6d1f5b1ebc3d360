"""Images of the scanner: opened without reading them, read in slabs of volumes, compared with a grid."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from giblet.errors import DataError
from giblet.types import Array, Float

SLAB_BYTES = 32 << 20
SAME_PLACE_MM = 1e-3
"""Affines are one if no entry differs by more: headers keep them in single precision."""
PLAIN = (".nii", ".img")
"""Images that are not packed, so that their size says how much of them is there."""
WANTED = {3: "give a volume [x, y, z]", 4: "a scan is [x, y, z, time], or a table .npy"}


def open_image(path: Path, dimensions: int = 4) -> Any:
    """An image, its data not yet read; a volume [X, Y, Z] may have a fourth axis of length 1.

    Raises
    ------
    DataError
        If it is missing, no image, broken, or has another number of dimensions.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        # Kept open, else .nii.gz is unpacked from its start for each slab; not mapped: what was read of a map stays.
        image: Any = nib.load(path, keep_file_open=True, mmap=False)
    except FileNotFoundError:
        raise DataError(f"there is no image {path}; correct the path") from None
    except (ImageFileError, OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as a NIfTI image: {line}") from None
    shape = image.shape
    if len(shape) != dimensions and not (dimensions == 3 and shape[3:] == (1,)):
        raise DataError(f"{path} is not {dimensions}-D but {len(shape)}-D ({size(shape)}); {WANTED[dimensions]}")
    return image


def size(shape: tuple[int, ...]) -> str:
    """A shape as people write it: 61 x 73 x 61."""
    return " x ".join(map(str, shape))


def volume_slabs(
    path: Path, image: Any, part: slice = slice(None), limit: int = SLAB_BYTES
) -> Iterator[tuple[int, Array]]:
    """The volumes of `part` in order, a slab [X, Y, Z, n] of at most `limit` bytes at a time, with its first index.

    Raises
    ------
    DataError
        If the file breaks off or is damaged.
    """
    start, stop, _ = part.indices(image.shape[3])
    step = max(1, limit // (8 * max(1, int(np.prod(image.shape[:3])))))
    for first in range(start, stop, step):
        with _whole(path, f"its header promises {image.shape[3]} volumes{_held(image, first)}"):
            slab = np.asanyarray(image.dataobj[..., first : min(first + step, stop)])
        yield first, slab


def _held(image: Any, read: int) -> str:
    """How many whole volumes a broken file holds, where its size tells; of packed ones how many were `read`, if any."""
    file, n = Path(image.file_map["image"].filename), image.shape[3]
    if file.suffix in PLAIN:
        held = (file.stat().st_size - image.dataobj.offset) // (image.get_data_dtype().itemsize * prod(image.shape[:3]))
        return f", but holds {max(held, 0)}" if held < n else ""
    return f", of which the first {read} can be read" if read else ""


@contextmanager
def _whole(path: Path, said: str) -> Iterator[None]:
    """Say what is the matter with a file whose data are fewer than its header says, or damaged."""
    try:
        yield
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} breaks off: {said} ({' '.join(str(error).split())}); copy it again") from None


def off_grid(image: Any, shape: tuple[int, ...], affine: Float) -> str | None:
    """In which words the grid of an image differs from one of `shape` [X, Y, Z] and `affine`; None if it does not."""
    if image.shape[:3] != shape:
        return f"it has {size(image.shape[:3])} voxels, not {size(shape)}"
    return None if np.allclose(image.affine, affine, atol=SAME_PLACE_MM) else "its affine differs"


def read_on_grid(path: Path, shape: tuple[int, ...], affine: Float, what: str) -> Array:
    """The values [X, Y, Z] of a volume on the grid of the scans; `what` it is, for the error.

    Raises
    ------
    DataError
        If it cannot be read, breaks off, or is on another grid.
    """
    image = open_image(path, 3)
    if difference := off_grid(image, shape, affine):
        advice = 'resample it (nilearn.image.resample_to_img, interpolation="nearest")'
        raise DataError(f"{what} {path} is not on the grid of the scans: {difference}; {advice}")
    with _whole(path, f"its header promises {size(shape)} voxels"):
        return np.asanyarray(image.dataobj).reshape(shape)
