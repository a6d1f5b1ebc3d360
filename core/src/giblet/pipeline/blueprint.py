"""What networks are built from: read off the data once, and kept, so that they can be built again without it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from giblet.brain import BrainModality
from giblet.modality import Modality
from giblet.pipeline.prepare import Inputs
from giblet.plugins import Registry
from giblet.types import FeatureSpec


@dataclass(frozen=True)
class Blueprint:
    """Fitted modalities and the sizes of their data.

    `specs` has one entry a stimulus modality, `voxels` [V] one a subject, in the order of the model's heads;
    `training_volumes` counts everybody's.
    """

    registry: Registry
    modalities: dict[str, Modality]
    brain: BrainModality
    specs: dict[str, FeatureSpec]
    voxels: dict[str, int]
    tr_s: Fraction
    slice_time_ref: float
    training_volumes: int

    @property
    def subjects(self) -> list[str]:
        """Everybody who was scanned."""
        return list(self.voxels)

    @property
    def pooled(self) -> bool:
        """Whether voxel v can be taken for the same place in everybody."""
        return len(self.voxels) > 1 and len(set(self.voxels.values())) == 1


def blueprint_of(inputs: Inputs) -> Blueprint:
    """The blueprint of a run that has its data."""
    assert inputs.brain is not None
    specs = {}
    for key, modality in inputs.modalities.items():
        found = [modality.spec(t.aligned[key]) for t in inputs.timelines]
        specs[key] = max(found, key=lambda s: s.frames)
    voxels = {s: t.scans[s].shape[1] for t in inputs.timelines for s in t.scans}
    tr_s = inputs.timelines[0].grid.tr_s
    volumes = sum(int(m[t.trs("train")].sum()) for t in inputs.timelines for m in t.scanned.values())
    return Blueprint(
        inputs.registry, inputs.modalities, inputs.brain, specs, voxels, tr_s, inputs.slice_time_ref, volumes
    )
