"""The shared mask: where there is brain, and signal, in the training volumes of all subjects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from giblet.errors import DataError
from giblet.media import off_grid, open_image, read_on_grid, volume_slabs
from giblet.types import Array, Float
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
THIN = 20  # fewer voxels along an axis than this are a slab or a coarse grid


def training_image(path: Path, train: Sequence[slice]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Mean of the training volumes [X, Y, Z], in how many of them each voxel has signal [X, Y, Z], and how many.

    Signal is a finite value other than 0; values that are not finite count as 0, for some software writes NaN outside
    of the brain.
    """
    image = open_image(path)
    total, active, n = np.zeros(image.shape[:3]), np.zeros(image.shape[:3]), 0
    for part in train:
        for _, data in volume_slabs(path, image, part):
            x = np.nan_to_num(np.asarray(data, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            total += x.sum(-1)
            active += np.count_nonzero(x, axis=-1)
            n += data.shape[3]
    return total / max(n, 1), active, n


def shared_mask(
    paths: Sequence[Path],
    train: Sequence[Sequence[slice]],
    *,
    active_fraction: float,
    given: Sequence[Path] = (),
    opening: int | None = None,
    **epi: Any,
) -> tuple[Mask, Float]:
    """The mask [X, Y, Z] and affine [4, 4] that all sources share; only training volumes are read.

    `epi` goes to nilearn's compute_multi_epi_mask (threshold, lower_cutoff, upper_cutoff), on the mean of each source's
    training volumes; `opening` too, None being 2, or 0 in images thinner than `THIN` voxels. Where brain masks are
    `given`, their intersection takes its place. Of either those voxels stay that have signal in more than
    `active_fraction` of the training volumes of every source.

    Raises
    ------
    DataError
        If there is nothing to learn from, images are not in one space, or no voxel is left.
    """
    affine = same_space(paths)
    images, signal = _signal(paths, train, affine, active_fraction)
    if not images:
        raise DataError("there is no training volume in any scan, so no mask can be learned; set fmri.mask=FILE")
    if opening is None:
        opening = 2 if min(signal.shape) >= THIN else 0
    brain = _common(given, signal.shape, affine) if given else _epi_mask(images, {**epi, "opening": opening})
    mask = brain & signal
    if not mask.any():
        kind = "all brain masks" if given else "the EPI mask"
        where = f"{int(brain.sum())} voxels in {kind}, {int(signal.sum())} with signal in all subjects"
        raise DataError(f"the learned mask is empty ({where}); set fmri.mask=FILE or a lower fmri.opening")
    return mask, affine


def _signal(
    paths: Sequence[Path], train: Sequence[Sequence[slice]], affine: Float, active_fraction: float
) -> tuple[list[Any], Mask]:
    """The mean images of the sources that have training volumes, and where all of these have signal [X, Y, Z]."""
    import nibabel as nib

    images, signal = [], np.ones(open_image(paths[0]).shape[:3], bool)
    for path, part in zip(paths, train, strict=True):
        mean, active, n = training_image(path, part)
        if n:
            images.append(nib.Nifti1Image(mean, affine))
            signal &= active > active_fraction * n
    return images, signal


def _common(given: Sequence[Path], shape: tuple[int, ...], affine: Float) -> Mask:
    """Where all brain masks agree."""
    out = np.ones(shape, bool)
    for path in dict.fromkeys(given):
        out &= _binary(read_on_grid(path, shape, affine, "the mask"), path)
    return out


def user_mask(path: Path) -> tuple[Mask, Float]:
    """A mask image of zeros and ones, [X, Y, Z], and its affine [4, 4].

    Raises
    ------
    DataError
        If it is no such image, or empty.
    """
    image = open_image(path, 3)
    values = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    return _binary(values, path), np.asarray(image.affine, np.float64)


def _binary(values: Array, path: Path) -> Mask:
    if not np.isin(values, (0, 1)).all():
        raise DataError(f"the mask {path} holds other values than 0 and 1; make it binary first")
    if not values.any():
        raise DataError(f"the mask {path} is empty: it holds no 1; give one that covers the brain")
    return values.astype(bool)


def same_space(paths: Sequence[Path], shape: tuple[int, ...] | None = None, affine: Float | None = None) -> Float:
    """The affine [4, 4] that all images share, and, where it is given, the mask's.

    Raises
    ------
    DataError
        If one differs, naming it.
    """
    reference = "the mask" if shape is not None else str(paths[0])
    for path in paths:
        image = open_image(path)
        if shape is None or affine is None:
            shape, affine = image.shape[:3], np.asarray(image.affine, np.float64)
        if difference := off_grid(image, shape, affine):
            advice = "resample all scans and the mask to one space"
            raise DataError(f"{path} is not on the grid of {reference}: {difference}; {advice}")
    assert affine is not None
    return affine


def _epi_mask(images: list[Any], epi: dict[str, Any]) -> Mask:
    from nilearn.exceptions import MaskWarning
    from nilearn.masking import compute_multi_epi_mask

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MaskWarning)  # an empty mask is our own error
        try:
            mask: Array = np.asarray(compute_multi_epi_mask(images, **epi).dataobj)
        except ValueError as error:
            cause = " ".join(str(error).split())
            raise DataError(f"no mask can be learned from these scans ({cause}); set fmri.mask=FILE") from None
    return mask.astype(bool)
