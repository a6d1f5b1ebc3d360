"""The modality fmri_mask: scans in a brain space, from the voxels of a shared mask to a shared response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from giblet import Aligned, Features, FeatureSpec, Modality, Nuisance, Source, TRGrid, hookimpl
from giblet.errors import ConfigError, DataError
from giblet.types import Array, Float

from giblet_fmri_mask.settings import LABELLED, LEARNED, UNIT_NAMES, FmriSettings

if TYPE_CHECKING:
    from torch import nn

    from giblet_fmri_mask.masking import Mask
    from giblet_fmri_mask.space import Space


class FmriMask(FmriSettings):
    """Scans as [volumes, units]: NIfTI inside a shared mask in one of several brain spaces, or tables [time, parcels].

    `V` are the voxels of the mask (or columns of the table), `U` the units of the space: voxels, cells, parcels or
    components.
    """

    name = "fmri_mask"
    kind = "fmri"
    unit = "BOLD"
    round_trip = 1e-6

    def informed(self, atlas: Path | None, labels: Path | None, masks: Sequence[Path]) -> Self:
        """With the study's atlas, its names and its brain masks, where they are needed and no setting names others."""
        known: dict[str, Any] = {}
        if self.space in LABELLED and self.atlas is None and atlas is not None:
            known |= {"atlas": str(atlas), "label_names": self.label_names or labels}
        if masks and self.mask is None and not self.masks:
            known["masks"] = tuple(dict.fromkeys(masks))
        return self.model_copy(update=known) if known else self

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Learn the shared mask (tables: columns) from training volumes only; `train[i]` may be empty.

        State: `mask` [X, Y, Z] bool and `affine` [4, 4], or `columns` [1] (and `kept` [P] where some hold nothing).
        With `downsampled` and `parcels` also `unit` [V], which unit each voxel belongs to; with `parcels` `unit_label`
        [U].

        Raises
        ------
        DataError
            If scans are not in one space, tables differ in columns, or the mask would be empty.
        ConfigError
            If a mask or a space of images was set for tables, images and tables are mixed, or a space lacks its atlas.
        """
        from giblet_fmri_mask.features import is_table

        paths = [source.path for source in sources]
        tables = [is_table(path) for path in paths]
        if any(tables) and not all(tables):
            raise ConfigError(f"{paths[tables.index(True)]} is a table among images; give one or the other")
        return self._fit_tables(sources, train) if any(tables) else self._fit_images(paths, train)

    def extract(self, source: Source) -> Iterator[Features]:
        """[n, U] float32, raw: one sample a volume, at tick k for volume k. What is learned (`pca`, `srm`) comes later.

        A source does not know the study's TR, so the clock ticks in the header's TR (tables: in seconds); `align` goes
        by the volume's number.

        Raises
        ------
        DataError
            If the file is broken, not of the mask's space, cut by times, or holds values that are not finite.
        """
        from giblet_fmri_mask.features import finite, is_table
        from giblet_fmri_mask.reading import read_units
        from giblet_fmri_mask.tables import read_columns

        if source.start_s is not None or source.stop_s is not None:
            raise DataError(f"{source.path}: a scan is cut by volumes, not by start_s and stop_s; leave them out")
        if is_table(source.path):
            yield Features.regular(finite(read_columns(source, self.state), source.path, 0), 1)
            return
        mask, affine = self._space(source.path)
        yield from read_units(source.path, mask, affine, self.state.get("unit"), self.smoothing_mm)

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """Volume k is TR k of the grid, wherever in the film the grid starts; TRs after the last volume are masked."""
        k = np.arange(grid.n_trs, dtype=np.int64)
        return Aligned(features, grid, k, (k < len(features.values)).astype(np.int64))

    def clean(self, y: Array, blocks: Sequence[slice], tr_s: float, confounds: Array | None = None) -> Array:
        """`giblet.alignment.clean` with this modality's `high_pass_s` and `detrend`, [T, V] -> [T, V]."""
        from giblet.alignment import clean

        return clean(y, blocks, tr_s, self.high_pass_s, self.detrend, confounds)

    def nuisance(self, source: Source) -> Nuisance | None:
        """The scan's confounds by this modality's strategies, [T, C]; volumes before the steady state are censored.

        Raises
        ------
        DataError
            If they are missing or broken.
        """
        from giblet.media import read_nuisance

        return read_nuisance(source, self.confounds, self.confound_options)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The head from brain to latent, `y [n, 1, V], mask [n, 1] -> [n, width]`."""
        from giblet_fmri_mask.nets import FromBrain

        return FromBrain(spec.size, width, self.head_dropout, self.head_rank)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The head from latent to brain, `z [n, width] -> [n, 1, V]`."""
        from giblet_fmri_mask.nets import ToBrain

        return ToBrain(width, spec.size, self.head_rank)

    def learn(self, scans: Mapping[str, Array], there: Mapping[str, Array]) -> Self:
        """Learn the components of `pca`, or everybody's basis of `srm`; other spaces have nothing to learn.

        `scans` are cleaned and scaled training volumes [T, V] by person, on one clock; `there` [T] says which were
        measured. State: `basis` [U, V], or `people` [S] and `bases` [S, V, U]; and `size` [1], which makes the mean
        square of the units 1.

        Raises
        ------
        ConfigError
            If there is only one person to share a response with.
        """
        from giblet_fmri_mask.space import learn_pca, learn_srm

        units = self.components or LEARNED.get(self.space, 0)
        if self.space == "pca":
            return self.fitted(**learn_pca(scans, there, units))
        return self.fitted(**learn_srm(scans, there, units, self.iterations)) if self.space == "srm" else self

    @property
    def learned_space(self) -> bool:
        """Whether units are components: in `pca` and `srm`."""
        return self.space in LEARNED

    @property
    def averages(self) -> bool:
        """Whether `subjects=average`."""
        return self.subjects == "average"

    def to_space(self, y: Array, subject: str | None = None) -> Array:
        """Cleaned and scaled BOLD [T, V] as units of what was learned, [T, U].

        In `srm` somebody unknown (None) is read by the mean of all bases.
        """
        return self._units.into(y, subject)

    def from_space(self, units: Array, subject: str | None = None) -> Array:
        """What units say of the voxels of the mask (or columns of the table), [.., U] -> [.., V]."""
        return self._units.back(units, subject)

    def unmask(self, values: Array, subject: str | None = None) -> Array:
        """Units in their places, [.., U] -> [.., X, Y, Z], 0 outside of the mask.

        Raises
        ------
        DataError
            If there are not as many values as units.
        ConfigError
            If there is no mask: tables have no places.
        """
        mask, _ = self._mask()
        if values.shape[-1] != (n := self._units.units or int(mask.sum())):
            raise DataError(f"{values.shape[-1]} values do not fit a mask of {n} {UNIT_NAMES[self.space]}")
        out = np.zeros((*values.shape[:-1], *mask.shape), values.dtype)
        out[..., mask] = self.from_space(values, subject)
        return out

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write [N, U] as .nii.gz with the mask's affine and the features' TR, or, from tables, as .tsv [N, V].

        The attribute `subject` of the features says whose basis of `srm` maps them back; without it, the mean of all.
        """
        from giblet_fmri_mask.writing import write_image, write_table

        values, subject = np.asarray(features.values, np.float32), features.attrs.get("subject")
        if "columns" in self.state or not self._has_mask():
            return write_table(self.from_space(values, subject), out)
        series = np.moveaxis(self.unmask(values, subject), 0, -1)
        return write_image(series, self._mask()[1], features.timebase, out)

    def _fit_tables(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        from giblet_fmri_mask.tables import measured_columns

        if self.mask is not None:
            raise ConfigError(f"{self.name}: mask={self.mask} has no meaning for tables of parcels; leave it out")
        if self.space not in ("voxels", *LEARNED):
            raise ConfigError(f"fmri.space={self.space} needs images, and these scans are tables; take pca or srm")
        kept = measured_columns(sources, train)
        return self.fitted(columns=np.array([kept.sum()], np.int64), **({} if kept.all() else {"kept": kept}))

    def _fit_images(self, paths: Sequence[Path], train: Sequence[Sequence[slice]]) -> Self:
        from giblet_fmri_mask.masking import same_space, shared_mask, user_mask
        from giblet_fmri_mask.units import LabelChoice, place

        choice = LabelChoice(self.atlas, self.labels, self.label_names)
        if self.space in LABELLED and self.atlas is None:
            needs = "set fmri.atlas=FILE (or schaefer400), or name it in study.toml"
            raise ConfigError(f"fmri.space={self.space} needs an atlas; {needs}")
        if self.mask is not None:
            mask, affine = user_mask(self.mask)
            same_space(paths, mask.shape, affine)
        else:
            names = ("active_fraction", "opening", "threshold", "lower_cutoff", "upper_cutoff")
            epi = {name: getattr(self, name) for name in names}
            mask, affine = shared_mask(paths, train, given=self.masks, **epi)
        return self.fitted(affine=affine, **place(self.space, mask, affine, choice))

    @property
    def _units(self) -> Space:
        from giblet_fmri_mask.space import Space

        return Space(self.state)

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


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """Announce fmri_mask."""
    return [FmriMask]
