"""The settings of fmri_mask."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from giblet.brain import BrainModality
from pydantic import Field, model_validator

Strategy = Literal["motion", "wm_csf", "global_signal", "compcor", "ica_aroma", "scrub", "high_pass"]
Option = Literal[
    "motion",
    "wm_csf",
    "global_signal",
    "compcor",
    "n_compcor",
    "scrub",
    "fd_threshold",
    "std_dvars_threshold",
]
STRATEGY_OF = {"n_compcor": "compcor", "fd_threshold": "scrub", "std_dvars_threshold": "scrub"}
"""The strategy that reads an option of another name."""
LABELLED = ("roi", "parcels")
UNIT_NAMES = dict.fromkeys(("voxels", "roi", "grid"), "voxels") | {
    "downsampled": "cells",
    "parcels": "parcels",
    "pca": "components",
    "srm": "features",
}
LEARNED = {"pca": 5000, "srm": 50}
"""Spaces that are learned from training volumes, and how many units they have where nothing else is said."""


class FmriSettings(BrainModality):
    """What can be set of scans and their brain space; FmriMask reads them."""

    net_settings = frozenset(
        {
            "components",
            "iterations",
            "subjects",
            "high_pass_s",
            "detrend",
            "confounds",
            "confound_options",
            "head_dropout",
            "head_rank",
        }
    )
    net_state = frozenset({"basis", "bases", "people", "size"})

    space: Literal["voxels", "downsampled", "roi", "parcels", "pca", "grid", "srm"] = "voxels"
    """What the brain is made of: voxels, cells of 2x2x2, a region, parcels, components, a grid, a shared response."""
    atlas: str | None = None
    """Label image of `roi` and `parcels`, or schaefer100 to schaefer1000, which nilearn fetches; null: the study's."""
    labels: tuple[int | str, ...] = ()
    """Labels of the atlas to keep, as numbers or as names of regions and networks; none: all above 0."""
    label_names: Path | None = None
    """Table of the atlas with the columns index and name (and network); null: the study's."""
    components: int | None = Field(default=None, ge=1)
    """Most units of `pca` (null: 5,000) and `srm` (null: 50); there are never more than voxels or training volumes."""
    iterations: int = Field(default=10, ge=1)
    """Rounds of `srm`."""
    subjects: Literal["stack", "average"] = "stack"
    """Each person with heads of their own, or the mean of all as one person."""
    mask: Path | None = None
    """A NIfTI of zeros and ones to use as it is, instead of a learned mask."""
    masks: tuple[Path, ...] = ()
    """Brain masks of the scans, whose intersection is taken instead of the EPI mask; none: the study's, if any."""
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
    smoothing_mm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Full width at half maximum of a Gaussian in space, before anything else; null: none."""
    high_pass_s: float | None = Field(default=128.0, gt=0, allow_inf_nan=False)
    """Drifts slower than this period leave the scan in `clean`; 128 s is SPM's (null keeps them)."""
    detrend: bool = True
    confounds: tuple[Strategy, ...] | None = None
    """Which of fMRIPrep's confounds leave the scan, by nilearn's strategies; null: motion, wm_csf where there are any.

    In one regression a block with drift and trend. `[]` leaves all in; a list asks for a table beside every scan.
    """
    confound_options: dict[Option, str | int | float] = {}
    """Options of the strategies, as of nilearn's `load_confounds`: `{"motion": "full", "n_compcor": 5}`.

    `motion` is "basic" (6 parameters) where it is not set.
    """
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the voxels that the head from brain to latent does not see at a training step."""
    head_rank: int | None = Field(default=None, ge=1)
    """Numbers that each head's map between latent and voxels passes through; null: as many as the latent has.

    With some ten thousand voxels and many people the heads are nearly all of the model; a rank of 16 makes them small.
    """

    @model_validator(mode="after")
    def _once(self) -> Self:
        """Refuse what would be taken out twice, or not before it must be."""
        asked = self.confounds or ()
        if "high_pass" in asked and self.high_pass_s is not None:
            raise ValueError(
                "high_pass_s takes slow drifts out already: leave high_pass out of confounds, or set it null"
            )
        if "compcor" in asked and "high_pass" not in asked and self.high_pass_s is None:
            raise ValueError(
                "compcor's components are of filtered scans: set high_pass_s, or add high_pass to confounds"
            )
        return self

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> Self:
        asked = ("motion", "wm_csf") if self.confounds is None else self.confounds
        for option in self.confound_options:
            if (strategy := STRATEGY_OF.get(option, option)) not in asked:
                raise ValueError(f"confound_options.{option} has no effect: confounds lack {strategy}; add it there")
        return self
