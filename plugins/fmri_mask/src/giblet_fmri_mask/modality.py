"""The modality fmri_mask: the voxels of a mask that all subjects share, or parcels from a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from giblet import Aligned, Features, FeatureSpec, Modality, Source, TRGrid, hookimpl
from giblet.errors import ConfigError, DataError
from giblet.types import Array, Float
from pydantic import Field

if TYPE_CHECKING:
    from torch import nn

    from giblet_fmri_mask.masking import Mask


class FmriMask(Modality):
    """Scans as [volumes, voxels]: NIfTI inside a shared mask, or tables [time, parcels]."""

    name = "fmri_mask"
    kind = "fmri"
    role = "brain"
    unit = "BOLD"
    round_trip = 1e-6

    mask: Path | None = None
    """A NIfTI of zeros and ones to use as it is, instead of a learned mask."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """In which share of the scans a voxel must be brain to be kept; 1 is the intersection, 0 the union."""
    lower_cutoff: float = Field(default=0.2, ge=0, le=1)
    upper_cutoff: float = Field(default=0.85, ge=0, le=1)
    """The brain's edge is the least dense point of the histogram between these fractions (nilearn, after Nichols)."""
    opening: int | None = Field(default=None, ge=0)
    """Rounds of morphological opening, which take off skull and thin bridges; the largest connected part stays.

    null means 2, as in nilearn, but 0 in images of fewer than 20 voxels along an axis (slabs, coarse grids): opening
    eats from the image's border too, and would leave little of a head that reaches it.
    """
    active_fraction: float = Field(default=0.95, ge=0, lt=1)
    """A voxel is kept if it has signal in more than this fraction of the training volumes of every scan."""
    high_pass_s: float | None = Field(default=128.0, gt=0, allow_inf_nan=False)
    """Drifts slower than this period leave the scan in `clean`; 128 s is SPM's (null keeps them)."""
    detrend: bool = True
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the voxels that the head from brain to latent does not see at a training step."""

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Learn the shared mask from training volumes only; `train[i]` may be empty. Tables: check their columns.

        State: `mask` [X, Y, Z] bool and `affine` [4, 4], or `columns` [1].

        Raises
        ------
        DataError
            If scans are not in one space, tables differ in columns, or the mask would be empty.
        ConfigError
            If a mask was set for tables, or images and tables are mixed.
        """
        from giblet_fmri_mask.features import is_table

        paths = [source.path for source in sources]
        tables = [is_table(path) for path in paths]
        if any(tables) and not all(tables):
            raise ConfigError(f"{paths[tables.index(True)]} is a table among images; give one or the other")
        return self._fit_tables(paths) if any(tables) else self._fit_images(paths, train)

    def extract(self, source: Source) -> Iterator[Features]:
        """[n, V] float32, raw: one sample a volume, at tick k for volume k.

        A source does not know the study's TR, so the clock ticks in the header's TR (tables: in seconds); `align` goes
        by the volume's number.

        Raises
        ------
        DataError
            If the file is broken, not of the mask's space, cut by times, or holds values that are not finite.
        """
        from giblet_fmri_mask.features import finite, is_table, load_image, slabs, tr_s

        if source.start_s is not None or source.stop_s is not None:
            raise DataError(f"{source.path}: a scan is cut by volumes, not by start_s and stop_s; leave them out")
        if is_table(source.path):
            yield Features.regular(finite(self._table(source.path), source.path, 0), 1)
            return
        mask, _ = self._space(source.path)
        image = load_image(source.path)
        for first, data in slabs(source.path, image):
            yield Features.regular(finite(data[mask].T, source.path, first), 1 / tr_s(image), first)

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """Volume k is TR k of the grid, wherever in the film the grid starts; TRs after the last volume are masked."""
        k = np.arange(grid.n_trs, dtype=np.int64)
        return Aligned(features, grid, k, (k < len(features.values)).astype(np.int64))

    def clean(self, y: Array, blocks: Sequence[slice], tr_s: float, confounds: Array | None = None) -> Array:
        """`giblet.alignment.clean` with this modality's `high_pass_s` and `detrend`, [T, V] -> [T, V]."""
        from giblet.alignment import clean

        return clean(y, blocks, tr_s, self.high_pass_s, self.detrend, confounds)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The head from brain to latent, `y [n, 1, V], mask [n, 1] -> [n, width]`."""
        from giblet_fmri_mask.nets import FromBrain

        return FromBrain(spec.size, width, self.head_dropout)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The head from latent to brain, `z [n, width] -> [n, 1, V]`."""
        from giblet_fmri_mask.nets import ToBrain

        return ToBrain(width, spec.size)

    def unmask(self, values: Array) -> Array:
        """Voxels back in their places, [.., V] -> [.., X, Y, Z], 0 outside of the mask.

        Raises
        ------
        DataError
            If there are not as many values as voxels in the mask.
        ConfigError
            If there is no mask: tables have no places.
        """
        mask, _ = self._mask()
        voxels = int(mask.sum())
        if values.shape[-1] != voxels:
            raise DataError(f"{values.shape[-1]} values do not fit a mask of {voxels} voxels")
        out = np.zeros((*values.shape[:-1], *mask.shape), values.dtype)
        out[..., mask] = values
        return out

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write [N, V] as .nii.gz with the mask's affine and the features' TR, or, from tables, as .tsv [N, V]."""
        from giblet_fmri_mask.writing import write_image, write_table

        if "columns" in self.state or not self._has_mask():
            return write_table(features.values, out)
        series = np.moveaxis(self.unmask(np.asarray(features.values, np.float32)), 0, -1)
        return write_image(series, self._mask()[1], features.timebase, out)

    def _fit_tables(self, paths: Sequence[Path]) -> Self:
        from giblet.media import read_series

        if self.mask is not None:
            raise ConfigError(f"{self.name}: mask={self.mask} has no meaning for tables of parcels; leave it out")
        columns = [read_series(path).shape[1] for path in paths]
        for path, n in zip(paths, columns, strict=True):
            if n != columns[0]:
                raise DataError(f"{path} has {n} columns, {paths[0]} has {columns[0]}; give the same parcels for all")
        return self.fitted(columns=np.array(columns[:1], np.int64))

    def _fit_images(self, paths: Sequence[Path], train: Sequence[Sequence[slice]]) -> Self:
        from giblet_fmri_mask.masking import same_space, shared_mask, user_mask

        if self.mask is not None:
            mask, affine = user_mask(self.mask)
            same_space(paths, mask.shape, affine)
            return self.fitted(mask=mask, affine=affine)
        names = ("active_fraction", "opening", "threshold", "lower_cutoff", "upper_cutoff")
        mask, affine = shared_mask(paths, train, **{name: getattr(self, name) for name in names})
        return self.fitted(mask=mask, affine=affine)

    def _has_mask(self) -> bool:
        return "mask" in self.state or self.mask is not None

    def _mask(self) -> tuple[Mask, Float]:
        """The mask and its affine: as fitted, or the user's own."""
        from giblet_fmri_mask.masking import user_mask

        if "mask" in self.state:
            return self.state["mask"], self.state["affine"]
        if self.mask is None:
            raise ConfigError(f"{self.name} has no mask yet; fit it on scans, or set mask=FILE")
        return user_mask(self.mask)

    def _space(self, path: Path) -> tuple[Mask, Float]:
        """The mask, once it is known that the image lies in its space."""
        from giblet_fmri_mask.masking import same_space

        mask, affine = self._mask()
        same_space([path], mask.shape, affine)
        return mask, affine

    def _table(self, path: Path) -> Array:
        from giblet.media import read_series

        table = read_series(path)
        if "columns" in self.state and table.shape[1] != (n := int(self.state["columns"][0])):
            raise DataError(f"{path} has {table.shape[1]} columns, the others have {n}; give the same parcels for all")
        return table


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """Announce fmri_mask."""
    return [FmriMask]
