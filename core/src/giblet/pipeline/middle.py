"""What lies between the brain heads and the voxels: built from a blueprint, and fitted before the trunk is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import ConfigError
from giblet.model import PRESETS, Components, Grid, Learned, Middle, Voxels, build_compressor
from giblet.pipeline.blueprint import Blueprint
from giblet.pipeline.folder import RunFolder
from giblet.training import CompressorTask, Schedule, fit, training_volumes
from giblet.types import Progress


def build_middle(blueprint: Blueprint, config: RunConfig) -> Middle:
    """The preset's own, not fitted yet.

    Raises
    ------
    ConfigError
        If the scans are not what the preset needs: images for `grid`, the same voxels in everybody for `two-stage`.
    """
    preset = PRESETS[config.model.preset]
    if preset.middle == "grid":
        brain = blueprint.brain
        if "mask" not in brain.state or "unit" in brain.state or brain.learned_space:
            raise ConfigError(
                "model.preset=grid needs scans as images, voxel by voxel; these units have no places on a grid; take "
                "fmri.space=grid or voxels, or choose another preset"
            )
        return Grid(brain.state["mask"], config.model.grid_step)
    if preset.middle == "components":
        voxels = set(blueprint.voxels.values())
        if len(voxels) > 1:
            raise ConfigError(
                f"model.preset={preset.name} needs the same voxels in everybody; these have {sorted(voxels)}; "
                "choose another preset"
            )
        return build_compressor(config.model, voxels.pop(), blueprint.training_volumes)
    return Voxels()


def fit_middle(
    middle: Middle, timelines: Sequence[Timeline], config: RunConfig, folder: RunFolder, progress: Progress
) -> None:
    """Find a compressor's components on training volumes; it goes on from its checkpoint, and is frozen then."""
    t = config.train
    if isinstance(middle, Components):
        with folder.stage("compressor"):
            middle.fit(training_volumes(timelines), config.seed)
    elif isinstance(middle, Learned):
        with folder.stage("compressor"):
            task = CompressorTask(middle, timelines, config)
            schedule = Schedule.of(config, t.compressor_steps, t.lr)
            fit(task, schedule, folder.path / "checkpoints" / task.name, folder.log, progress)
            with torch.no_grad():
                middle.freeze(torch.from_numpy(task.volumes))
