"""The three stages of training, each going on from its checkpoint."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.model import Autoencoder, Codes, ModalityNets, Scans, members_of, predict_scans
from giblet.pipeline.blueprint import blueprint_of
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.middle import fit_middle
from giblet.pipeline.networks import build_losses, build_model, build_nets, member_seeds
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.saving import save_model
from giblet.pipeline.trained import Trained
from giblet.training import (
    DecoderTask,
    FrontEndTask,
    Schedule,
    TrunkTask,
    apply_codes,
    compute_codes,
    fit,
    keep_projections,
    kept_projections,
    most_steps,
)
from giblet.training.closed_form import choose, fit_encoding
from giblet.training.ranks import Ranks
from giblet.types import Progress

VALIDATIONS = 20
"""A trunk that trains for long is validated so often: `patience` is then a share of its training."""


def train(inputs: Inputs, config: RunConfig, folder: RunFolder, progress: Progress) -> Trained:
    """All three stages, each going on from its checkpoint; then `model/` is written."""
    trained = train_trunk(inputs, config, folder, progress)
    codes, t = trained.codes, config.train
    with folder.stage("decoders"):
        predicted = predict_scans(trained.model, codes, inputs.timelines)
        members = zip(members_of(trained.model), trained.judged, _configs(config), strict=True)
        for k, (member, without_validation, c) in enumerate(members):
            task = DecoderTask(
                member,
                trained.nets,
                trained.losses,
                codes,
                inputs.timelines,
                predicted,
                c,
                tune=k == 0,
                name=_name("decoders", k),
            )
            schedule = Schedule.of(c, t.decoder_steps, t.decoder_lr)
            fit(task, schedule, _checkpoint(folder, task.name), folder.log, progress)
            task.calibrate(without_validation)
    save_model(folder, inputs, config, trained)
    return trained


def train_trunk(inputs: Inputs, config: RunConfig, folder: RunFolder, progress: Progress) -> Trained:
    """The first two stages, front ends and trunk: enough to predict scans."""
    progress("prepare training", 0, 1)
    blueprint = blueprint_of(inputs)
    nets = build_nets(blueprint, config)
    losses = build_losses(nets, inputs)
    progress("prepare training", 1, 1)
    t = config.train
    for n in (n for n in nets if not n.frozen):
        with folder.stage(f"front-end {n.kind}"):
            task = FrontEndTask(n, losses[n.name], inputs.timelines, config)
            fit(
                task, Schedule.of(config, t.front_end_steps, t.lr), _checkpoint(folder, task.name), folder.log, progress
            )
    with folder.stage("codes"):
        codes = find_codes(nets, inputs, config, folder, progress)
    Ranks.here().require_same("codes of the film", _number_of(codes))
    model = build_model(blueprint, nets, codes, config)
    first, *others = members_of(model)
    fit_middle(first.middle, inputs.timelines, config, folder, progress)
    for member in others:
        member.middle = copy.deepcopy(first.middle)
    with folder.stage("trunk"):
        judged = [
            fit_trunk(member, codes, inputs.timelines, c, folder, progress, k)
            for k, (member, c) in enumerate(zip([first, *others], _configs(config), strict=True))
        ]
    return Trained(model, nets, losses, codes, judged)


def find_codes(
    nets: Sequence[ModalityNets], inputs: Inputs, config: RunConfig, folder: RunFolder, progress: Progress
) -> Codes:
    """What the trunk reads; a run that goes on reads by the projections that it began with."""
    place = _checkpoint(folder, "codes")
    if kept := kept_projections(place):
        return apply_codes(inputs.timelines, nets, inputs.modalities, kept, progress)
    codes = compute_codes(inputs.timelines, nets, inputs.modalities, config.model, progress)
    keep_projections(place, codes)
    return codes


def fit_trunk(
    model: Autoencoder,
    codes: Codes,
    timelines: Sequence[Timeline],
    config: RunConfig,
    folder: RunFolder,
    progress: Progress,
    member: int = 0,
) -> Scans:
    """Train a trunk until validation says enough, then again from its start on all but the test, for as many steps.

    Beside it, scans are predicted in closed form, where it has one; validation says how much either counts. The ridges
    that both are compared with are refitted on the same blocks. Returns what is predicted before that.
    """
    t, begun, steps = config.train, copy.deepcopy(model.state_dict()), most_steps(timelines, config)
    task = TrunkTask(model, codes, timelines, config, name=_name("trunk", member))
    every = max(t.trunk_validate_every, steps // VALIDATIONS)
    schedule = replace(Schedule.of(config, steps, t.trunk_lr), validate_every=every)
    found = fit(task, schedule, _checkpoint(folder, task.name), folder.log, progress)
    judged = predict_scans(model, codes, timelines)
    voxels, choice = [judged[0][s].shape[1] for s in model.subjects], None
    if model.encode(voxels, codes.plain_sizes):
        choice = choose(model, codes, timelines, judged, progress)
        judged = predict_scans(model, codes, timelines)
    if t.refit:
        model.encoding = None
        model.load_state_dict(begun)
        again = TrunkTask(model, codes, timelines, config, ("train", "validation"), _name("trunk refit", member))
        fit(again, replace(schedule, until=found.step), _checkpoint(folder, again.name), folder.log, progress)
    if t.refit and choice:
        model.encode(voxels, codes.plain_sizes)
        fit_encoding(model, codes, timelines, ("train", "validation"), choice, progress)
    return judged


def _number_of(codes: Codes) -> int:
    """A number that stands for all that the trunk will read."""
    tables = [table[name] for table in codes.inputs for name in sorted(table)]
    return zlib.crc32(b"".join(np.ascontiguousarray(rows).tobytes() for rows in tables))


def _configs(config: RunConfig) -> list[RunConfig]:
    """The run's config with the seed of each member."""
    return [config.model_copy(update={"seed": s}) for s in member_seeds(config)]


def _name(stage: str, member: int) -> str:
    return f"{stage} {member + 1}" if member else stage


def _checkpoint(folder: RunFolder, name: str) -> Path:
    return folder.path / "checkpoints" / f"{name.replace(' ', '-')}"
