"""What a person asked to lesion: regions by name, an image, a sphere, or components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.lesions import Components, Units, Voxels
from giblet.brain import BrainModality
from giblet.errors import ConfigError, DataError, did_you_mean
from giblet.model import Model
from giblet.model.compressor import Compressor
from giblet.pipeline.regions import Atlas, Masks, on_grid, over_units

Mask = NDArray[np.bool_]
SphereMm = tuple[float, float, float, float]
PARCELS = "the run's scans are tables of parcels, which have no places"
ADD_LABELS = "add labels = FILE (a table with the columns index and name) to its study.toml, and name it with --study"
SAME_PLACE = 0.5
"""Values above this belong to an image that is a mask, as in nilearn."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The user's choice: exactly one of these.

    Raises
    ------
    ConfigError
        If it is none or several, or a sphere is not four finite numbers.
    """

    regions: Sequence[str] = ()
    networks: Sequence[str] = ()
    mask: Path | None = None
    sphere: SphereMm | None = None
    components: Sequence[int] = ()

    def __post_init__(self) -> None:
        given = [self.regions, self.networks, self.mask, self.sphere, self.components]
        if sum(bool(g) for g in given) != 1:
            raise ConfigError("say what to lesion: one of --region, --network, --mask, --sphere or --component")
        if self.sphere is not None and (len(self.sphere) != 4 or not np.isfinite(self.sphere).all()):
            raise ConfigError(f"sphere {self.sphere} is not (x, y, z, radius) in mm, for example (-12, -80, 4, 15)")


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is lesioned: units [U] by name, and how much of each voxel [V] they take (weights).

    `of_voxels`: the units are voxels or sets of voxels, and not components.
    """

    name: str
    chosen: Mask
    units: Units
    weights: NDArray[np.float64]
    of_voxels: bool = True


def find_target(wanted: Wanted, atlas: Atlas | None, brain: BrainModality, model: Model, voxels: int) -> Target:
    """The units that were asked for.

    Raises
    ------
    ConfigError
        If the run has no such region, network or component, or nothing that they could be found in.
    DataError
        If an image is on another grid, or nothing of what was asked lies inside the mask of the scans.
    """
    if wanted.components:
        return _components(wanted.components, model, brain, voxels)
    if brain.learned_space:
        raise ConfigError(f"the brain space of the run has {voxels} components, which have no places; give --component")
    if wanted.mask is not None or wanted.sphere is not None:
        _require_space(brain, atlas)
    if wanted.mask is not None:
        name, chosen = wanted.mask.name, on_grid(wanted.mask, brain, "the mask") > SAME_PLACE
    elif wanted.sphere is not None:
        name, chosen = "sphere {:g},{:g},{:g},{:g}".format(*wanted.sphere), in_sphere(wanted.sphere, brain)
    else:
        name, chosen = _named(wanted, atlas, brain)
    chosen = over_units(chosen, brain)
    if not chosen.any():
        what = "unit (more than half of its voxels)" if "unit" in brain.state else "voxel"
        raise DataError(f"{name} holds no {what} of the scans' mask; give a place inside the brain")
    if chosen.all():
        raise DataError(f"{name} holds every voxel of the scans: nothing would be left; give a part of the brain")
    assert len(chosen) == voxels
    return Target(name, chosen, Voxels(voxels), brain.from_space(chosen.astype(float)))


def in_sphere(sphere: SphereMm, brain: BrainModality) -> Mask:
    """Voxels [V] whose centres lie in a sphere, its centre and radius in mm of the scans' world coordinates.

    Raises
    ------
    ConfigError
        If the radius is not positive.
    """
    *centre, radius = sphere
    if not radius > 0:
        raise ConfigError(f"--sphere: a radius of {radius:g} mm is not positive")
    at = np.argwhere(brain.state["mask"])
    world = at @ brain.state["affine"][:3, :3].T + brain.state["affine"][:3, 3]
    inside: Mask = np.square(world - centre).sum(1) <= radius**2
    return inside


def _require_space(brain: BrainModality, atlas: Atlas | None) -> None:
    if "mask" not in brain.state:
        raise ConfigError(f"{PARCELS}; " + ("name parcels with --region" if atlas else f"for names, {ADD_LABELS}"))


def _named(wanted: Wanted, atlas: Atlas | None, brain: BrainModality) -> tuple[str, Mask]:
    """Voxels of all names together."""
    if atlas is None and "mask" not in brain.state:
        raise ConfigError(f"{PARCELS}, and no names; {ADD_LABELS}")
    if atlas is None:
        raise ConfigError(
            "the study of this run has no atlas to find names in; give --mask or --sphere, or an atlas in study.toml"
        )
    if wanted.networks and not atlas.networks:
        raise ConfigError("the study's table of labels has no column network; give --region")
    legal = dict(atlas.networks) if wanted.networks else {**atlas.names, **atlas.networks}
    flag, names = ("--network", wanted.networks) if wanted.networks else ("--region", wanted.regions)
    for name in names:
        if name not in legal:
            raise ConfigError(f"{flag} {name!r} is not in the study's atlas; {did_you_mean(name, legal)}")
    return "+".join(names), np.isin(atlas.parcel, [i for name in names for i in legal[name]])


def _components(numbers: Sequence[int], model: Model, brain: BrainModality, voxels: int) -> Target:
    """Components of the model's compressor, or of the brain space itself, by number."""
    code = model.middle
    if isinstance(code, Compressor):
        chosen = _numbered(numbers, code.units)
        units: Units = Components(code)
        each = code.weights.detach().double().numpy()[chosen]
    elif brain.learned_space:
        chosen, units = _numbered(numbers, voxels), Voxels(voxels)
        each = np.eye(voxels)[chosen]
    else:
        raise ConfigError(
            "--component needs a run whose brain space is compressed (-o fmri.space=pca, -o model.preset=two-stage); "
            "give --region or --mask"
        )
    name = "component " + "+".join(map(str, sorted(set(numbers))))
    return Target(name, chosen, units, np.abs(brain.from_space(each)).sum(0), of_voxels=False)


def _numbered(numbers: Sequence[int], units: int) -> Mask:
    for n in numbers:
        if not 0 <= n < units:
            raise ConfigError(f"--component {n}: the run has the components 0 to {units - 1}")
    chosen: Mask = np.isin(np.arange(units), numbers)
    if chosen.all():
        raise ConfigError("--component names every component of the run: nothing would be left; give fewer")
    return chosen


def compared(target: Target, regions: Masks) -> Masks:
    """The target, and the regions of the atlas that it is compared with: those that do not overlap with it."""
    apart = {k: m for k, m in regions.items() if target.of_voxels and m.any() and not (m & target.chosen).any()}
    return {target.name: target.chosen} | apart
