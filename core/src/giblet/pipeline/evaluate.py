"""Every figure of a report, on test blocks only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.analysis.bold import BoldScores, bold_metrics, score_bold
from giblet.analysis.decode import Reader, decoding_losses
from giblet.analysis.kernels import person_delays, region_peaks
from giblet.analysis.ridges import GROUP
from giblet.analysis.smuggling import smuggling
from giblet.analysis.variance_table import variance_maps, variance_metrics, variance_shares
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.model import ModalityNets, predict_scans
from giblet.pipeline import verdict
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.identify import identification
from giblet.pipeline.lesions import lesion_regions
from giblet.pipeline.networks import applied
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.reconstruct import reconstruct_modality
from giblet.pipeline.regions import Masks, read_regions
from giblet.pipeline.screening import screen
from giblet.pipeline.trained import Trained
from giblet.pipeline.truth import compare_with_truth
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
        timing = (inputs.gap, applied(nets), inputs.slice_time_ref)
        scores = score_bold(inputs.timelines, codes, predicted, model.subjects, config, *timing, progress)
    _write_draws(folder, scores)
    fmri = bold_metrics(scores, regions, config.seed) | {
        "hrf_peak_s": region_peaks(model, regions),
        "delay_s": person_delays(model),
    }
    with folder.stage("variance"):
        shares, why = variance_shares(inputs.timelines, codes, model.subjects, config, *timing, progress)
        variance = variance_metrics(shares, regions, why, config.seed)
    _write_maps(folder, inputs, scores, regions, variance_maps(shares))
    reader = Reader(model, nets, trained.losses, codes, inputs.timelines, predicted, config)
    metrics: dict[str, Any] = {"summary": verdict.summary(fmri, plumbing=config.plumbing), "fmri": fmri}
    metrics["variance"] = variance
    with folder.stage("decoding"):
        losses = decoding_losses(reader, progress)
        metrics["smuggling"] = smuggling(losses)
    with folder.stage("lesions"):
        metrics["lesions"] = lesion_regions(reader, inputs, regions, scores.ceilings[GROUP].values, progress)
    with folder.stage("reconstruction"):
        for name, found in _read_back(study, inputs, reader, folder, progress).items():
            metrics[name] = found | {"loss": losses[name]}
        _write_scans(folder, inputs, predicted)
    metrics["warnings"] = [
        *verdict.warnings(metrics, {n.name: n.kind for n in nets}),
        *verdict.alarms(folder.read_log()),
        *scores.notes,
        *model.middle.notes,
    ]
    if study.truth is not None:
        metrics["truth"] = compare_with_truth(study.truth, metrics)
    return metrics


def _read_back(
    study: Study, inputs: Inputs, reader: Reader, folder: RunFolder, progress: Progress
) -> dict[str, dict[str, Any]]:
    """What is read back of every modality; films get their sound when all sounds are there."""
    nets, found = reader.nets, {}
    for done, n in enumerate(nets):
        progress("reconstructions", done, len(nets))
        found[n.name] = _decoded(n, inputs, reader, folder)
    for n in (n for n in nets if n.kind == "video"):
        found[n.name] |= screen(study, inputs, n, reader, folder.path / "reconstructions")
    progress("reconstructions", len(nets), len(nets))
    return found


def _decoded(n: ModalityNets, inputs: Inputs, reader: Reader, folder: RunFolder) -> dict[str, Any]:
    """What is read back of one modality: which clip it was and, where it can be played, films and their scores."""
    modality = inputs.modalities[n.name]
    found = {"modality": modality.name, "how": modality.how, "identification": identification(n, reader)}
    if not modality.can_reconstruct():
        return found
    seconds = reader.config.evaluate.reconstruct_s
    return found | reconstruct_modality(inputs, modality, n, reader, folder.path / "reconstructions", seconds)


def _write_draws(folder: RunFolder, scores: BoldScores) -> None:
    """Resampled and null scores, `draws.npz`, from which folds are pooled."""
    people = np.array([s for s in scores.r if s != GROUP])
    arrays: dict[str, Any] = {"people": people, "null": scores.null.r_null, **scores.draws}
    np.savez_compressed(folder.path / "draws.npz", **arrays)


def _write_maps(
    folder: RunFolder, inputs: Inputs, scores: BoldScores, regions: Masks, more: Mapping[str, NDArray[np.float64]]
) -> None:
    """Per-voxel maps for the page, `maps.npz`."""
    row = GROUP if GROUP in scores.r else next(iter(scores.r))
    ceiling = scores.ceilings[GROUP].values
    maps: dict[str, Any] = dict(more)
    maps |= {f"{m.removesuffix('_r') if m != 'r' else 'r'}_group": v for m, v in scores.r[row].items()}
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
