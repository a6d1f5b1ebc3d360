"""Every figure of a report, on test blocks only."""

from __future__ import annotations

from typing import Any

import numpy as np

from giblet import stages
from giblet.analysis.bold import BoldScores, bold_metrics, score_bold
from giblet.analysis.decode import Reader, decoding_losses
from giblet.analysis.kernels import person_delays, predicted_peaks, region_peaks, way_counts
from giblet.analysis.ridges import GROUP, require_scores
from giblet.analysis.smuggling import smuggling
from giblet.analysis.variance_table import variance_maps, variance_metrics, variance_shares
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.model import ModalityNets, predict_scans
from giblet.model.reading import Scans
from giblet.pipeline import verdict
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.identify import identification
from giblet.pipeline.lesions import lesion_regions
from giblet.pipeline.maps import brain_maps, region_map, voxel_scores
from giblet.pipeline.networks import applied
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.presentations import films_of, presentations
from giblet.pipeline.reconstruct import reconstruct_modality
from giblet.pipeline.regions import Masks, read_regions, unit_masks
from giblet.pipeline.screening import screen
from giblet.pipeline.sound_files import hear_words
from giblet.pipeline.trained import Trained
from giblet.pipeline.truth import compare_with_truth
from giblet.types import Features, Progress


def evaluate(
    study: Study, config: RunConfig, inputs: Inputs, trained: Trained, folder: RunFolder, progress: Progress
) -> dict[str, Any]:
    """Every figure of the report, on the test blocks."""
    model, nets, codes = trained.model, trained.nets, trained.codes
    predicted = predict_scans(model, codes, inputs.timelines)
    scores, regions, metrics = _scans(study, config, inputs, trained, predicted, folder, progress)
    reader = Reader(model, nets, trained.losses, codes, inputs.timelines, predicted, config)
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
        *verdict.alarms(folder.read_log(), metrics),
        *scores.notes,
        *model.middle.notes,
    ]
    if study.truth is not None:
        metrics["truth"] = compare_with_truth(study.truth, metrics, next(iter(predicted[0].values())).shape[1])
    return metrics


def require_evaluation(study: Study, config: RunConfig, inputs: Inputs) -> None:
    """Refuse before training what could not be evaluated after it.

    Raises
    ------
    DataError
        If the atlas cannot be read, or scans are too few to be scored.
    """
    assert inputs.brain is not None
    read_regions(study.atlas, study.labels, inputs.brain)
    require_scores(inputs.timelines, inputs.subjects, 0 if config.plumbing else inputs.gap)


def _scans(
    study: Study,
    config: RunConfig,
    inputs: Inputs,
    trained: Trained,
    predicted: Scans,
    folder: RunFolder,
    progress: Progress,
) -> tuple[BoldScores, Masks, dict[str, Any]]:
    """How well scans are predicted: scores, the regions' units, and the metrics `summary`, `fmri` and `variance`."""
    model, codes = trained.model, trained.codes
    assert inputs.brain is not None
    places = read_regions(study.atlas, study.labels, inputs.brain)
    regions = unit_masks(places, inputs.brain)
    with folder.stage("baselines"):
        timing = (inputs.gap, applied(trained.nets), inputs.slice_time_ref)
        films = films_of(presentations(study, inputs.modalities))
        scores = score_bold(inputs.timelines, codes, predicted, model.subjects, config, *timing, films, progress)
    _write_draws(folder, scores)
    fmri = bold_metrics(scores, regions, config.seed)
    fmri |= {
        "hrf_peak_s": predicted_peaks(region_peaks(model, regions), fmri),
        "delay_s": person_delays(model),
        "counts": way_counts(model),
    }
    with folder.stage("variance"):
        shares, why = variance_shares(inputs.timelines, codes, model.subjects, config, *timing, progress)
        variance = variance_metrics(shares, regions, why, config.seed)
    voxels = voxel_scores(inputs, predicted) if inputs.brain.learned_space else None
    fmri |= {} if voxels is None else voxels.metrics(places)
    maps = brain_maps(inputs, scores, predicted, voxels, variance_maps(shares)) | region_map(places)
    np.savez_compressed(folder.path / "maps.npz", **maps)
    summary = verdict.summary(fmri, plumbing=config.plumbing)
    return scores, regions, {"summary": summary, "fmri": fmri, "variance": variance}


def _read_back(
    study: Study, inputs: Inputs, reader: Reader, folder: RunFolder, progress: Progress
) -> dict[str, dict[str, Any]]:
    """What is read back of every modality; films get their sound when all sounds are there."""
    nets, found = reader.nets, {}
    for done, n in enumerate(nets):
        progress("reconstructions", done, len(nets))
        found[n.name] = _decoded(study, n, inputs, reader, folder)
    for n in (n for n in nets if n.kind == "video"):
        found[n.name] |= screen(study, inputs, n, reader, folder.path / "reconstructions")
    progress("reconstructions", len(nets), len(nets))
    return found


def _decoded(study: Study, n: ModalityNets, inputs: Inputs, reader: Reader, folder: RunFolder) -> dict[str, Any]:
    """What is read back of one modality: which clip it was and, where it can be played, films and their scores."""
    modality = inputs.modalities[n.name]
    found = {"modality": modality.name, "how": modality.how, "identification": identification(n, reader)}
    if not modality.can_reconstruct():
        return found
    made, seconds = folder.path / "reconstructions", reader.config.evaluate.reconstruct_s
    found |= reconstruct_modality(study, inputs, modality, n, reader, made, seconds)
    return found | (hear_words(reader.config, made) if modality.kind == "audio" else {})


def _write_draws(folder: RunFolder, scores: BoldScores) -> None:
    """Resampled and null scores, `draws.npz`, from which folds are pooled."""
    people = np.array([s for s in scores.r if s != GROUP])
    arrays: dict[str, Any] = {"people": people, "null": scores.null.r_null, **scores.draws}
    np.savez_compressed(folder.path / "draws.npz", **arrays)


def _write_scans(folder: RunFolder, inputs: Inputs, predicted: list[dict[str, Any]]) -> None:
    """Predicted BOLD of every run and person, in the brain modality's own format."""
    (folder.path / "predictions").mkdir(exist_ok=True)
    assert inputs.brain is not None
    for t, scans in zip(inputs.timelines, predicted, strict=True):
        for subject in t.scans:
            series = Features.regular(scans[subject], 1 / t.grid.tr_s, subject=subject)
            stages.reconstruct(
                inputs.registry, inputs.brain, series, folder.path / "predictions" / f"{subject}_{t.run}_predicted"
            )
