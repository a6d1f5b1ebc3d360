"""The three stages of training, each going on from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from giblet.config import RunConfig
from giblet.model import Autoencoder, Codes, ModalityNets, RelativeLoss, predict_scans
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import build_losses, build_model, build_nets
from giblet.pipeline.prepare import Inputs
from giblet.training import DecoderTask, FrontEndTask, Schedule, TrunkTask, compute_codes, fit
from giblet.types import Progress


@dataclass(frozen=True)
class Trained:
    """A trained model with its front ends, codes and losses."""

    model: Autoencoder
    nets: list[ModalityNets]
    losses: dict[str, RelativeLoss]
    codes: Codes


def train(inputs: Inputs, config: RunConfig, folder: RunFolder, progress: Progress) -> Trained:
    """All three stages; each goes on from its checkpoint."""
    trained = train_trunk(inputs, config, folder, progress)
    model, nets, losses, codes = trained.model, trained.nets, trained.losses, trained.codes
    with folder.stage("decoders"):
        predicted = predict_scans(model, codes, inputs.timelines)
        task = DecoderTask(model, nets, losses, codes, inputs.timelines, predicted, config)
        fit(task, _schedule(config, config.train.decoder_steps), _checkpoint(folder, task.name), folder.log, progress)
    return trained


def train_trunk(inputs: Inputs, config: RunConfig, folder: RunFolder, progress: Progress) -> Trained:
    """The first two stages, front ends and trunk: enough to predict scans."""
    nets = build_nets(inputs, config.seed)
    losses = build_losses(nets, inputs)
    t = config.train
    for n in (n for n in nets if not n.frozen):
        with folder.stage(f"front-end {n.kind}"):
            task = FrontEndTask(n, losses[n.name], inputs.timelines, t.front_end_batch, t.front_end_decay)
            fit(task, _schedule(config, t.front_end_steps), _checkpoint(folder, task.name), folder.log, progress)
    with folder.stage("codes"):
        summaries = {k: m.summary for k, m in inputs.modalities.items()}
        codes = compute_codes(inputs.timelines, nets, summaries, config.model, progress)
    model = build_model(inputs, nets, codes, config)
    with folder.stage("trunk"):
        trunk = TrunkTask(model, codes, inputs.timelines, config)
        schedule = _schedule(config, t.trunk_steps, t.trunk_lr)
        fit(trunk, schedule, _checkpoint(folder, trunk.name), folder.log, progress)
    return Trained(model, nets, losses, codes)


def _schedule(config: RunConfig, steps: int, lr: float | None = None) -> Schedule:
    t = config.train
    return Schedule(steps, lr or t.lr, t.clip, t.patience, t.validate_every, config.seed)


def _checkpoint(folder: RunFolder, name: str) -> Path:
    return folder.path / "checkpoints" / f"{name.replace(' ', '-')}.pt"
