"""`giblet run`: train in three stages, evaluate, reconstruct, report; what is there is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from giblet import stages
from giblet.analysis.bold import GROUP, bold_metrics, score_bold
from giblet.analysis.decode import Reader, decoding_losses, smuggling
from giblet.analysis.kernels import region_peaks
from giblet.analysis.lesion import lesion_table
from giblet.config import RunConfig
from giblet.data.store import content_hash, digest
from giblet.data.study import Study
from giblet.model import Autoencoder, Codes, ModalityNets, RelativeLoss, predict_scans
from giblet.pipeline import verdict
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import applied, build_losses, build_model, build_nets
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.reconstruct import identification, reconstruct_modality
from giblet.pipeline.regions import Masks, read_regions
from giblet.training import DecoderTask, FrontEndTask, Schedule, TrunkTask, compute_codes, fit
from giblet.types import Features

Progress = Callable[[str, int, int], None]
PACKAGES = ("giblet", "torch", "numpy", "nilearn", "av")


@dataclass(frozen=True)
class Trained:
    """A trained model with its front ends, codes and losses."""

    model: Autoencoder
    nets: list[ModalityNets]
    losses: dict[str, RelativeLoss]
    codes: Codes


def open_run(out: Path, study: Study, config: RunConfig, inputs: Inputs) -> RunFolder:
    """The run's folder, which knows by a fingerprint of settings, inputs and version whether it is the same run."""
    scans = [content_hash(s.bold) for s in study.scans]
    fingerprint = digest(
        [config.model_dump(mode="json"), inputs.keys, scans, version("giblet"), inputs.described["split"]]
    )
    folder = RunFolder.open(out, config.model_dump(mode="json"), fingerprint)
    folder.write_json("inputs.json", inputs.described)
    return folder


def run_study(
    study: Study, config: RunConfig, inputs: Inputs, folder: RunFolder, command: str, progress: Progress
) -> dict[str, Any]:
    """Train, evaluate and report; returns the metrics.

    Raises
    ------
    GibletError
        If anything that the run needs cannot be had.
    """
    trained = train(inputs, config, folder, progress)
    metrics: dict[str, Any] | None = folder.read_json("metrics.json")
    if metrics is None:
        metrics = evaluate(study, config, inputs, trained, folder, progress)
        metrics |= {"study": study.name, "command": command, "seed": config.seed}
        metrics["versions"] = {p: version(p) for p in PACKAGES}
        folder.write_json("metrics.json", metrics)
    if not (folder.path / "report.html").exists():
        from giblet.report import write_report

        with folder.stage("report"):
            write_report(folder.path)
        progress("report", 1, 1)
    return metrics


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


def evaluate(
    study: Study, config: RunConfig, inputs: Inputs, trained: Trained, folder: RunFolder, progress: Progress
) -> dict[str, Any]:
    """Every figure of the report, on the test blocks."""
    model, nets, codes = trained.model, trained.nets, trained.codes
    assert inputs.brain is not None
    predicted = predict_scans(model, codes, inputs.timelines)
    regions = read_regions(study.atlas, study.labels, inputs.brain)
    with folder.stage("baselines"):
        scores = score_bold(inputs.timelines, codes, predicted, model.subjects, config, inputs.gap, applied(nets))
        progress("evaluate", 1, 4)
    fmri = bold_metrics(scores, regions) | {"hrf_peak_s": region_peaks(model, regions)}
    _write_maps(folder, inputs, scores, regions)
    reader = Reader(model, nets, trained.losses, codes, inputs.timelines, predicted, config)
    metrics: dict[str, Any] = {"summary": verdict.summary(fmri, plumbing=config.plumbing), "fmri": fmri}
    with folder.stage("decoding"):
        losses = decoding_losses(reader)
        metrics["smuggling"] = smuggling(losses)
        progress("evaluate", 2, 4)
    with folder.stage("lesions"):
        named = {k: v for k, v in regions.items() if v.any()}
        metrics["lesions"] = lesion_table(reader, named)
        progress("evaluate", 3, 4)
    with folder.stage("reconstruction"):
        for n in nets:
            modality = inputs.modalities[n.name]
            metrics[n.name] = {
                "modality": modality.name,
                "loss": losses[n.name],
                "identification": identification(n, reader),
            }
            if modality.can_reconstruct():
                made = reconstruct_modality(
                    inputs, modality, n, reader, folder.path / "reconstructions", config.evaluate.reconstruct_s
                )
                metrics[n.name] |= made
        _write_scans(folder, inputs, predicted)
        progress("evaluate", 4, 4)
    metrics["warnings"] = [*verdict.warnings(metrics, {n.name: n.kind for n in nets}), *scores.notes]
    if study.truth is not None:
        metrics["truth"] = compare_with_truth(study.truth, fmri)
    return metrics


def _write_maps(folder: RunFolder, inputs: Inputs, scores: Any, regions: Masks) -> None:
    """Per-voxel maps for the page, `maps.npz`."""
    row = GROUP if GROUP in scores.r else next(iter(scores.r))
    ceiling = scores.ceilings[GROUP].values
    maps: dict[str, Any] = {f"{m.removesuffix('_r') if m != 'r' else 'r'}_group": v for m, v in scores.r[row].items()}
    if ceiling is not None:
        maps["ceiling_group"] = ceiling
    null = scores.group_null or scores.null
    if len(null.map_p) == len(scores.r[row]["r"]):
        maps["p_group"] = null.map_p
    assert inputs.brain is not None
    maps |= {k: inputs.brain.state[k] for k in ("mask", "affine") if k in inputs.brain.state}
    if regions:
        maps["region_names"] = np.array(list(regions))
        maps["region"] = np.select(list(regions.values()), range(len(regions)), default=-1)
    np.savez_compressed(folder.path / "maps.npz", **maps)


def _write_scans(folder: RunFolder, inputs: Inputs, predicted: list[dict[str, Any]]) -> None:
    """Predicted BOLD of every run and person, in the brain modality's own format."""
    (folder.path / "predictions").mkdir(exist_ok=True)
    assert inputs.brain is not None
    for t, scans in zip(inputs.timelines, predicted, strict=True):
        for subject in t.scans:
            series = Features.regular(scans[subject], 1 / t.grid.tr_s)
            stages.reconstruct(
                inputs.registry, inputs.brain, series, folder.path / "predictions" / f"{subject}_{t.run}_predicted"
            )


def compare_with_truth(path: Path, fmri: dict[str, Any]) -> dict[str, Any]:
    """How near the model comes to what a made-up world allows; only for studies that state their truth."""
    truth = json.loads(path.read_text(encoding="utf-8"))
    if truth["null"]:
        return {"null": True}
    people = list(truth["subjects"].values())
    means = {k: float(np.mean([np.mean(p[k]) for p in people])) for k in ("ceiling", "oracle_r", "fir_r")}
    return means | {"ratio_to_ceiling": fmri["r"] / means["ceiling"]}


def threads(n: int) -> None:
    """Use n threads for arithmetic."""
    torch.set_num_threads(n)
