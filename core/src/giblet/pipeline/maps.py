"""Maps of a run over the voxels of its mask, whatever the units of its brain space are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.bold import BoldScores, region_rows
from giblet.analysis.ceilings import MIN_PEOPLE, group_ceiling, loo_isc
from giblet.analysis.joined import join, joined_predictions, joined_scanned, joined_scans, scored_people
from giblet.analysis.ridges import GROUP
from giblet.analysis.scores import pearson
from giblet.model import Scans
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.regions import Masks

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VoxelScores:
    """What a learned space says of the voxels: r of each person [V] and of the group mean, and their ceilings.

    Predictions are mapped back, and scored against the voxels that were measured, with all that the space leaves out.
    """

    people: dict[str, dict[str, Real]]
    people_ceiling: Real | None
    group: Real
    group_ceiling: Real | None

    def metrics(self, places: Masks) -> dict[str, Any]:
        """Means over voxels, and over people; by region [V]."""
        ceiling = self.people_ceiling
        return {
            "voxel_r": float(np.mean([row["r"].mean() for row in self.people.values()])),
            "voxel_ceiling": None if ceiling is None else float(ceiling.mean()),
            "regions": region_rows(self.people, ceiling, places),
        }


def voxel_scores(inputs: Inputs, predicted: Scans) -> VoxelScores:
    """Held-out r of measured voxels, where units are components: predictions are mapped back from the brain space."""
    assert inputs.brain is not None
    trs, back = join(inputs.timelines).test_trs, inputs.brain.from_space
    whole = [replace(t, scans=t.voxels) for t in inputs.timelines]
    subjects = scored_people(inputs.timelines, inputs.subjects)
    there = np.stack([joined_scanned(inputs.timelines, s)[trs] for s in subjects])
    y = np.stack([joined_scans(whole, s)[trs] for s in subjects])
    guess = np.stack([back(joined_predictions(predicted, s)[trs], s) for s in subjects])
    people = {s: {"r": pearson(guess[i], y[i], there[i])} for i, s in enumerate(subjects)}
    mean_guess, mean_y = (x.sum(0, where=there[..., None]) / np.maximum(there.sum(0), 1)[:, None] for x in (guess, y))
    group = pearson(mean_guess, mean_y, np.asarray(there.any(0)))
    if len(y) < MIN_PEOPLE:
        return VoxelScores(people, None, group, None)
    return VoxelScores(people, loo_isc(y, there).values, group, group_ceiling(y, there).values)


def brain_maps(
    inputs: Inputs, scores: BoldScores, predicted: Scans, voxels: VoxelScores | None, more: Mapping[str, Real]
) -> dict[str, Any]:
    """Maps of the group mean [V] (of the first person, where there is none), and where the voxels lie."""
    brain = inputs.brain
    assert brain is not None
    if voxels is not None:
        maps: dict[str, Any] = {"r_group": voxels.group}
        maps |= {} if voxels.group_ceiling is None else {"ceiling_group": voxels.group_ceiling}
    else:
        maps = {name: brain.from_space(values) for name, values in {**more, **_unit_maps(scores)}.items()}
    maps["weight_group"] = weight_map(inputs, predicted)
    return maps | {k: brain.state[k] for k in ("mask", "affine", "unit") if k in brain.state}


def weight_map(inputs: Inputs, predicted: Scans) -> Real:
    """How much the model says of each voxel [V]: SD over test TRs of its prediction, mean over people.

    It is the length of a voxel's weights on the latent, each weighed by how much the film moves it.
    """
    assert inputs.brain is not None
    trs, back = join(inputs.timelines).test_trs, inputs.brain.from_space
    return np.asarray(np.mean([back(joined_predictions(predicted, s)[trs], s).std(0) for s in inputs.subjects], 0))


def _unit_maps(scores: BoldScores) -> dict[str, Real]:
    """Held-out r of every method, ceiling and p, by unit [U]."""
    row = GROUP if GROUP in scores.r else next(iter(scores.r))
    maps = {f"{m.removesuffix('_r') if m != 'r' else 'r'}_group": v for m, v in scores.r[row].items()}
    ceiling, null = scores.ceilings[GROUP].values, scores.group_null or scores.null
    if ceiling is not None:
        maps["ceiling_group"] = ceiling
    return maps | ({"p_group": null.map_p} if len(null.map_p) == len(scores.r[row]["r"]) else {})


def region_map(places: Masks) -> dict[str, Any]:
    """Which region each voxel [V] lies in, and the names; nothing without regions."""
    if not places:
        return {}
    return {
        "region_names": np.array(list(places)),
        "region": np.select(list(places.values()), range(len(places)), default=-1),
    }
