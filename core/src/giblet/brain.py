"""What modalities of brain recordings share: cleaning, and a brain space between scans and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from giblet.modality import Modality
from giblet.types import Array, Nuisance, Source

__all__ = ["BrainModality"]


class BrainModality(Modality):
    """A recording of brains; a plugin adds `name`, `kind` and `extract`, with `clean` where scans drift.

    `decode` builds the head from latent to brain and `encode` the one from brain to latent, a pair for each person.
    """

    role = "brain"

    def nuisance(self, source: Source) -> Nuisance | None:
        """What moves a scan beside the brain, and volumes that are not to be used. Default: nothing."""
        return None

    def clean(self, y: Array, blocks: Sequence[slice], tr_s: float, confounds: Array | None = None) -> Array:
        """Take drift and confounds [T, C] out of [T, V], each split block by itself. Default: nothing.

        `confounds` are what `nuisance` found.
        """
        return y

    def informed(self, atlas: Path | None, labels: Path | None, masks: Sequence[Path]) -> Self:
        """A copy that knows the study's label image, its table of names and its brain masks.

        Default: nothing. It is called before `fit`; what a person has set stays.
        """
        return self

    def learn(self, scans: Mapping[str, Array], there: Mapping[str, Array]) -> Self:
        """Learn a brain space from training volumes alone. Default: nothing.

        `scans` are cleaned and scaled [T, V] by person, on one clock; `there` [T] says which TRs were measured. Return
        `self.fitted(name=array, ...)`.
        """
        return self

    def to_space(self, y: Array, subject: str | None = None) -> Array:
        """Cleaned and scaled scans [T, V] in the space that was learned, [T, U]. Default: as they are."""
        return y

    def from_space(self, units: Array, subject: str | None = None) -> Array:
        """The units of the brain space as values of voxels, [.., U] -> [.., V]. Default: as they are.

        The core reads these arrays of `state` by name: `mask` [X, Y, Z] and `affine` [4, 4], where voxels lie; `unit`
        [V], which unit a voxel belongs to, where units are sets of voxels; `columns` [1] of tables, and `kept` [P],
        which of these the scans have; `people` [S], who has a basis of their own. It asks `learned_space` whether units
        are components instead.
        """
        return units

    @property
    def learned_space(self) -> bool:
        """Whether units are components of all voxels, so that none has a place. Default: no."""
        return False

    @property
    def averages(self) -> bool:
        """Whether the mean of all people is modelled, as one person called `average`. Default: no."""
        return False
