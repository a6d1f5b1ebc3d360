"""Predicted scans as files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from giblet.types import Array, Float


def write_image(series: Array, affine: Float, tr_s: Fraction, out: Path) -> Path:
    """Write [X, Y, Z, N] as out.nii.gz, millimetres and seconds in the header."""
    import nibabel as nib

    image = nib.Nifti1Image(series, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], float(tr_s)))
    path = out.with_name(out.name + ".nii.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_table(values: Array, out: Path) -> Path:
    """Write [N, V] as out.tsv, one column a parcel under its number from 1."""
    path = out.with_name(out.name + ".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "\t".join(f"parcel_{i}" for i in range(1, values.shape[1] + 1))
    np.savetxt(path, values, fmt="%.7g", delimiter="\t", header=header, comments="")
    return path
