"""Which voxels belong to which region: an atlas and its table of names, laid over the mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.modality import Modality

Masks = dict[str, NDArray[np.bool_]]
Table = Mapping[str, list[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """The parcel of each voxel [V], and the parcels of each name and each network (empty where the table has none)."""

    parcel: NDArray[np.int64]
    names: Table
    networks: Table

    def masks(self, table: Table) -> Masks:
        """Voxels [V] of each entry of a table."""
        return {name: np.isin(self.parcel, indices) for name, indices in table.items()}


def read_atlas(atlas: Path | None, labels: Path | None, brain: Modality) -> Atlas | None:
    """The atlas of a study over the voxels of its scans; None where it has none.

    Scans that are tables of parcels need no image: the columns are the parcels 1, 2, ... of the labels.

    Raises
    ------
    DataError
        If the atlas does not lie in the space of the mask, or its table lacks `index` and `name`.
    """
    parcel = _parcels(atlas, labels, brain)
    if parcel is None:
        return None
    if labels is None:
        return Atlas(parcel, {f"parcel {i}": [int(i)] for i in np.unique(parcel) if i}, {})
    import pandas

    table = pandas.read_csv(labels, sep="\t" if labels.suffix == ".tsv" else ",")
    if not {"index", "name"} <= set(table.columns):
        raise DataError(
            f"{labels.name} must have the columns index and name (and network); it has {', '.join(table.columns)}"
        )
    return Atlas(parcel, _groups(table, "name"), _groups(table, "network") if "network" in table.columns else {})


def read_regions(atlas: Path | None, labels: Path | None, brain: Modality) -> Masks:
    """Voxels [V] of each network of an atlas (of each parcel, where its table names no networks).

    Raises
    ------
    DataError
        As `read_atlas`.
    """
    found = read_atlas(atlas, labels, brain)
    return {} if found is None else found.masks(found.networks or found.names)


def _parcels(atlas: Path | None, labels: Path | None, brain: Modality) -> NDArray[np.int64] | None:
    mask = brain.state.get("mask")
    if mask is None and "columns" in brain.state and labels is not None:
        return np.arange(1, int(brain.state["columns"][0]) + 1, dtype=np.int64)
    if atlas is None or mask is None:
        return None
    return on_grid(atlas, brain, "the atlas").astype(np.int64)


def on_grid(path: Path, brain: Modality, what: str) -> NDArray[Any]:
    """The values [V] of an image inside the mask of the scans.

    Raises
    ------
    DataError
        If it cannot be read or is on another grid.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image: Any = nibabel.load(path)
    except (ImageFileError, OSError) as error:
        raise DataError(f"{what} {path} cannot be read ({error}); give a NIfTI on the grid of the scans") from None
    mask, affine = brain.state["mask"].astype(bool), brain.state["affine"]
    if image.shape[:3] != mask.shape or image.shape[3:] not in ((), (1,)):
        has, wants = "x".join(map(str, image.shape)), "x".join(map(str, mask.shape))
        raise DataError(
            f"{what} {path.name} is not on the grid of the scans: it has {has} voxels, they have {wants}; "
            "resample it (nilearn.image.resample_to_img)"
        )
    if not np.allclose(image.affine, affine, atol=1e-3):
        raise DataError(
            f"{what} {path.name} is not on the grid of the scans: its affine differs; "
            "resample it (nilearn.image.resample_to_img)"
        )
    values: NDArray[Any] = np.asarray(image.dataobj).reshape(mask.shape)[mask]
    return values


def _groups(table: Any, column: str) -> dict[str, list[int]]:
    return {str(k): [int(i) for i in part["index"]] for k, part in table.groupby(column, sort=False)}
