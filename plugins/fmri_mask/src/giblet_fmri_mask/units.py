"""Units of brain space that are sets of voxels: cells of a coarser grid, parcels of an atlas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from giblet.errors import DataError
from giblet.types import Array, Float, Int

from giblet_fmri_mask.atlas import chosen, read_labels
from giblet_fmri_mask.masking import Mask

STEP = 2
"""Voxels, each way, in a cell of `downsampled`."""


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """An atlas, which of its labels to keep (none: all), and the table of their names."""

    atlas: str | None
    labels: tuple[int | str, ...]
    names: Path | None


def place(space: str, mask: Mask, affine: Float, choice: LabelChoice) -> dict[str, Array]:
    """The voxels of a space inside a mask, `mask` [X, Y, Z], and, where it has units of several, `unit` [V].

    Raises
    ------
    ConfigError
        If the atlas lacks a label.
    DataError
        If the atlas cannot be read, or none of its labels lies inside the mask.
    """
    if space == "downsampled":
        return {"mask": mask, "unit": cells(mask)}
    if space not in ("roi", "parcels"):
        return {"mask": mask}
    assert choice.atlas is not None
    label = chosen(read_labels(choice.atlas, mask.shape, affine), choice.labels, choice.names)
    kept = mask & (label > 0)
    if not kept.any():
        raise DataError(f"no label of {choice.atlas} lies inside the mask of the scans; give one that covers the brain")
    numbers, unit = np.unique(label[kept], return_inverse=True)
    return {"mask": kept} if space == "roi" else {"mask": kept, "unit": unit, "unit_label": numbers}


def cells(mask: Mask) -> Int:
    """The cell of 2x2x2 voxels, counted from the corner of the image, that each voxel of a mask lies in, [V]."""
    at = tuple((np.argwhere(mask) // STEP).T)
    flat = np.ravel_multi_index(at, tuple(-(-n // STEP) for n in mask.shape))
    return np.unique(flat, return_inverse=True)[1].astype(np.int64)


def means(values: Array, unit: Int) -> Array:
    """The mean over the voxels of each unit, [N, V] -> [N, U]."""
    order = np.argsort(unit, kind="stable")
    starts = np.searchsorted(unit[order], np.arange(int(unit.max()) + 1))
    total = np.add.reduceat(values[:, order].astype(np.float64), starts, axis=1)
    return np.asarray(total / np.bincount(unit), np.float32)
