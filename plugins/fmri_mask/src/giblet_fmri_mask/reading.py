"""An image as the units of its brain space, slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from giblet import Features
from giblet.media import open_image, volume_slabs
from giblet.types import Array, Float, Int

from giblet_fmri_mask.features import finite, inside, places, smoothed, tr_s
from giblet_fmri_mask.masking import Mask
from giblet_fmri_mask.units import means


def read_units(path: Path, mask: Mask, affine: Float, unit: Int | None, fwhm_mm: float | None) -> Iterator[Features]:
    """The voxels of a mask [n, V], or means over its units [n, U], smoothed before if a width is given."""
    image, at = open_image(path), places(mask)
    for first, slab in volume_slabs(path, image):
        volumes: Array = slab if fwhm_mm is None else smoothed(slab, affine, fwhm_mm)
        values = finite(inside(volumes, at), path, first)
        yield Features.regular(values if unit is None else means(values, unit), 1 / tr_s(image), first)
