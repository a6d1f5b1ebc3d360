"""Label images: which voxel belongs to which region, from a file or, by name, through nilearn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from giblet.errors import ConfigError, DataError, did_you_mean
from giblet.media import label_groups, read_label_table, read_on_grid
from giblet.types import Array, Float, Int

SCHAEFER = re.compile(r"schaefer([1-9]|10)00")
"""Schaefer et al. 2018 (doi:10.1093/cercor/bhx179), 100 to 1,000 parcels, in MNI space."""


def read_labels(atlas: str, shape: tuple[int, ...], affine: Float) -> Int:
    """The label of every voxel of the scans' grid, [X, Y, Z]; 0 is none.

    A file must lie on that grid; an atlas that is fetched by name is brought onto it (nearest neighbour).

    Raises
    ------
    DataError
        If the file cannot be read, is on another grid or holds no whole numbers, or the atlas cannot be fetched.
    """
    if SCHAEFER.fullmatch(atlas):
        values = _on_grid(_fetched(atlas), shape, affine)
    else:
        values = read_on_grid(Path(atlas), shape, affine, "the atlas")
    if not np.array_equal(values, np.round(values)):
        raise DataError(f"the atlas {atlas} holds values that are no whole numbers; give an image of labels")
    return values.astype(np.int64)


def chosen(labels: Int, wanted: Sequence[int | str], table: Path | None) -> Int:
    """The same labels with those that are not wanted set to 0; nothing wanted is all.

    Names are those of regions or networks in `table`, whose columns are index, name and, maybe, network.

    Raises
    ------
    ConfigError
        If the atlas has no such label, or there is no table to find a name in.
    DataError
        If the table is broken.
    """
    if not wanted:
        return labels
    names = _names(table)
    legal = sorted(set(np.unique(labels[labels > 0]).tolist()))
    numbers: list[int] = []
    for w in wanted:
        found = names.get(w, []) if isinstance(w, str) else [w]
        if not set(found) & set(legal):
            known = list(names) if isinstance(w, str) else list(map(str, legal))
            hint = did_you_mean(str(w), known) if known else "there is no table of names; set fmri.label_names=FILE"
            raise ConfigError(f"fmri.labels: {w!r} is not in the atlas; {hint}")
        numbers += found
    return np.where(np.isin(labels, numbers), labels, 0)


def _names(table: Path | None) -> dict[str, list[int]]:
    """The labels of each name and each network."""
    if table is None:
        return {}
    rows = read_label_table(table)
    return label_groups(rows, "network") | label_groups(rows, "name")


def _fetched(name: str) -> Any:
    import nibabel as nib
    from nilearn.datasets import fetch_atlas_schaefer_2018

    try:
        found = fetch_atlas_schaefer_2018(n_rois=int(name.removeprefix("schaefer")), resolution_mm=2, verbose=0)
    except OSError as error:  # every error of the network is one
        cause = " ".join(str(error).split())[:120]
        raise DataError(f"the atlas {name} cannot be fetched ({cause}); give a file, fmri.atlas=FILE") from None
    return nib.load(found.maps)


def _on_grid(image: Any, shape: tuple[int, ...], affine: Float) -> Array:
    from nilearn.image import resample_img

    placed = resample_img(image, affine, shape, interpolation="nearest", copy_header=True, force_resample=True)
    return np.asanyarray(placed.dataobj).reshape(shape)
