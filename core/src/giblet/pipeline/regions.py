"""Which voxels belong to which region: an atlas and its table of names, laid over the mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.modality import Modality

Masks = dict[str, NDArray[np.bool_]]


def read_regions(atlas: Path | None, labels: Path | None, brain: Modality) -> Masks:
    """Voxels [V] of each network of an atlas (of each parcel, where its table names no networks).

    Raises
    ------
    DataError
        If the atlas does not lie in the space of the mask, or its table lacks `index` and `name`.
    """
    mask = brain.state.get("mask")
    if atlas is None or mask is None:
        return {}
    import nibabel

    image: Any = nibabel.load(atlas)
    if image.shape[:3] != mask.shape or not np.allclose(image.affine, brain.state["affine"], atol=1e-3):
        raise DataError(
            f"the atlas {atlas.name} is not on the grid of the scans; resample it (nilearn.image.resample_to_img)"
        )
    parcels = np.asarray(image.dataobj)[mask].astype(int)
    names = _names(labels, parcels)
    return {region: np.isin(parcels, indices) for region, indices in names.items()}


def _names(labels: Path | None, parcels: NDArray[np.int64]) -> dict[str, list[int]]:
    if labels is None:
        return {f"parcel {i}": [int(i)] for i in np.unique(parcels) if i}
    import pandas

    table = pandas.read_csv(labels, sep="\t" if labels.suffix == ".tsv" else ",")
    if not {"index", "name"} <= set(table.columns):
        raise DataError(
            f"{labels.name} must have the columns index and name (and network); it has {', '.join(table.columns)}"
        )
    column = "network" if "network" in table.columns else "name"
    return {str(k): [int(i) for i in part["index"]] for k, part in table.groupby(column, sort=False)}
