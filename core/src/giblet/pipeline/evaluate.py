"""Every figure of a report, on test blocks only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from giblet import stages
from giblet.analysis.bold import GROUP, BoldScores, bold_metrics, score_bold
from giblet.analysis.decode import Reader, decoding_losses, smuggling
from giblet.analysis.kernels import region_peaks
from giblet.analysis.lesion import lesion_table
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.model import predict_scans
from giblet.pipeline import verdict
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import applied
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.reconstruct import identification, reconstruct_modality
from giblet.pipeline.regions import Masks, read_regions
from giblet.pipeline.train import Trained
from giblet.types import Features, Progress


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


def _write_maps(folder: RunFolder, inputs: Inputs, scores: BoldScores, regions: Masks) -> None:
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
