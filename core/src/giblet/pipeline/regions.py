"""Which voxels belong to which region: an atlas and its table of names, laid over the mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.brain import BrainModality
from giblet.media import label_groups, read_label_table, read_on_grid

Masks = dict[str, NDArray[np.bool_]]
Table = Mapping[str, list[int]]
HALF = 0.5
"""A unit of several voxels is where more than this share of them is."""


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """The parcel of each voxel or column [V], and those of each name and each network (empty where there are none)."""

    parcel: NDArray[np.int64]
    names: Table
    networks: Table

    def masks(self, table: Table) -> Masks:
        """Voxels [V] of each entry of a table."""
        return {name: np.isin(self.parcel, indices) for name, indices in table.items()}


def read_atlas(atlas: Path | None, labels: Path | None, brain: BrainModality) -> Atlas | None:
    """The atlas of a study over the voxels of its scans; None where it has none.

    Scans that are tables of parcels need no image: the columns are the parcels 1, 2, ... of the labels.

    Raises
    ------
    DataError
        If the atlas does not lie in the space of the mask, or its table is broken or lacks `index` and `name`.
    """
    parcel = _parcels(atlas, labels, brain)
    if parcel is None:
        return None
    if labels is None:
        return Atlas(parcel, {f"parcel {i}": [int(i)] for i in np.unique(parcel) if i}, {})
    table = read_label_table(labels)
    return Atlas(parcel, label_groups(table, "name"), label_groups(table, "network"))


def read_regions(atlas: Path | None, labels: Path | None, brain: BrainModality) -> Masks:
    """Voxels [V] of each network of an atlas (of each parcel, where its table names no networks), if it has any.

    Raises
    ------
    DataError
        As `read_atlas`.
    """
    found = read_atlas(atlas, labels, brain)
    masks = {} if found is None else found.masks(found.networks or found.names)
    return {name: mask for name, mask in masks.items() if mask.any()}


def _parcels(atlas: Path | None, labels: Path | None, brain: BrainModality) -> NDArray[np.int64] | None:
    mask = brain.state.get("mask")
    if mask is None and "columns" in brain.state and labels is not None:
        kept = brain.state.get("kept", np.ones(int(brain.state["columns"][0]), bool))
        return np.flatnonzero(kept) + 1
    if atlas is None or mask is None:
        return None
    return on_grid(atlas, brain, "the atlas").astype(np.int64)


def over_units(chosen: NDArray[np.bool_], brain: BrainModality) -> NDArray[np.bool_]:
    """The units [U] of the brain space more than half of whose voxels are in a set [V]."""
    unit = brain.state.get("unit")
    if unit is None:
        return chosen
    inside: NDArray[np.bool_] = np.bincount(unit, chosen) > HALF * np.bincount(unit)
    return inside


def unit_masks(places: Masks, brain: BrainModality) -> Masks:
    """Regions [V] as units [U] of the brain space, those without any left out.

    Where units are components, which have no places, there are none.
    """
    masks = {} if brain.learned_space else {name: over_units(mask, brain) for name, mask in places.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def on_grid(path: Path, brain: BrainModality, what: str) -> NDArray[Any]:
    """The values [V] of an image inside the mask of the scans.

    Raises
    ------
    DataError
        If it cannot be read or is on another grid.
    """
    mask = brain.state["mask"].astype(bool)
    return read_on_grid(path, mask.shape, brain.state["affine"], what)[mask]
