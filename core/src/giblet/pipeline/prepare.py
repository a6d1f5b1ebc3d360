"""From a study's files to runs on their TR grids: modalities built and fitted, features extracted, splits drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from giblet import stages
from giblet.analysis.audio import find_recogniser
from giblet.brain import BrainModality
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Split
from giblet.data.store import open_store
from giblet.data.study import Study
from giblet.errors import ConfigError, DataError
from giblet.modality import Modality
from giblet.pipeline.cleaned import Scale
from giblet.pipeline.describe import describe
from giblet.pipeline.presentations import Run, films_of, grids_of, presentations
from giblet.pipeline.scans import add_scans
from giblet.pipeline.splits import draw_split, gap_notes, gap_trs
from giblet.plugins import Registry
from giblet.progress import watched
from giblet.types import Features, Progress, Source, TRGrid


@dataclass(frozen=True)
class Inputs:
    """What a run works on: fitted modalities by key, runs, the gap in TRs, and what there is to tell of the files.

    `bold_sd` is what each subject's scans were divided by: the SD [V] over their training TRs.
    """

    registry: Registry
    modalities: dict[str, Modality]
    brain: BrainModality | None
    timelines: list[Timeline]
    gap: int
    slice_time_ref: float
    described: dict[str, Any]
    keys: list[str] = field(default_factory=list)
    bold_sd: dict[str, Scale] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """Everybody who was scanned."""
        return list(dict.fromkeys(s for t in self.timelines for s in t.scans))


def extract_study(
    study: Study,
    config: RunConfig,
    registry: Registry,
    progress: Progress,
    *,
    brain: bool = True,
    fitted: Mapping[str, Modality] | None = None,
) -> Inputs:
    """Extract, align and split everything that a run needs; what a store has is not computed again.

    `fitted` are the modalities of a finished run, the brain's under "fmri": then none is fitted.

    Raises
    ------
    ConfigError
        If a modality has no file, or the split is not possible.
    DataError
        If stimulus and scans do not overlap or are too short to hold out a test block.
    """
    store = open_store(registry)
    given = dict(fitted or {})
    built = {k: m for k, m in given.items() if m.role == "stimulus"} or build_modalities(registry, study, config)
    runs = presentations(study, built)
    gap = gap_trs(study, built, config)
    with_scans = bool(study.scans) and brain

    def drawn(grids: Mapping[str, TRGrid]) -> Split:
        return draw_split(study, config, grids, gap, films_of(runs)) if with_scans else {r.name: [] for r in runs}

    first = drawn(scan_grids(study, runs) if with_scans else {})
    with watched(progress):
        modalities = built if given else _fitted(runs, built, first)
        features = _extract(registry, runs, modalities, config, progress)
        grids, cuts = grids_of(study, runs, features)
        split = drawn(grids)
        # Where a film is shorter than its scans, only now it is known which TRs train.
        if not given and split != first and (again := _fitted(runs, built, split)) != modalities:
            modalities, features = again, _extract(registry, runs, again, config, progress)
    timelines = []
    for run in runs:
        aligned = {k: stages.align(registry, m, features[run.name, k], grids[run.name]) for k, m in modalities.items()}
        timelines.append(Timeline(run.name, grids[run.name], tuple(split[run.name]), aligned))
    fitted_brain, brain_modality = given.get("fmri"), None
    assert fitted_brain is None or isinstance(fitted_brain, BrainModality)
    bold_sd: dict[str, Scale] = {}
    if with_scans:
        brain_modality, timelines, bold_sd = add_scans(registry, study, runs, config, timelines, progress, fitted_brain)
    keys = [store.key(modalities[k], r.sources[k]) for r in runs for k in modalities]
    described = describe(study, runs, timelines, cuts, modalities, registry)
    described["notes"] += gap_notes(config) if with_scans else []
    return Inputs(
        registry, modalities, brain_modality, timelines, gap, _slice_time_ref(study), described, keys, bold_sd
    )


def scan_grids(study: Study, runs: Sequence[Run]) -> dict[str, TRGrid]:
    """Each run's clock over all of its scans, whose headers are all that is known of it before extraction."""
    return {r.name: TRGrid(study.tr_s, max(s.n_volumes for s in r.scans), r.offset_s) for r in runs}


def _fitted(runs: Sequence[Run], modalities: Mapping[str, Modality], split: Split) -> dict[str, Modality]:
    """Modalities that learned from the training TRs of a split."""
    train = [[b.trs for b in split[r.name] if b.label == "train"] for r in runs]
    return {k: m.fit([r.sources[k] for r in runs], train) for k, m in modalities.items()}


def _extract(
    registry: Registry,
    runs: Sequence[Run],
    modalities: Mapping[str, Modality],
    config: RunConfig,
    progress: Progress,
) -> dict[tuple[str, str], Features]:
    """The features of each run and modality; a film that several runs share is read once."""
    wanted = [(run, key) for run in runs for key in modalities]
    features: dict[tuple[str, str], Features] = {}
    known: dict[tuple[str, Source], Features] = {}
    progress("extract", 0, len(wanted))
    for done, (run, key) in enumerate(wanted):
        place = (key, run.sources[key])
        if place not in known:
            with _advice(key if key in config.modalities else None):
                known[place] = stages.extract(registry, modalities[key], run.sources[key])
        features[run.name, key] = known[place]
        progress("extract", done + 1, len(wanted))
    return features


def check_plan(study: Study, config: RunConfig, registry: Registry, *, brain: bool) -> None:
    """Refuse what could not be extracted or (`brain`) split, before any file is there.

    Raises
    ------
    ConfigError
        If a modality has no file, or the split is not possible.
    WeightsError
        If the recogniser of `evaluate.asr` cannot be had.
    """
    modalities = build_modalities(registry, study, config)
    runs = presentations(study, modalities)
    if config.evaluate.asr is not None:
        _require_recogniser(config.evaluate.asr, modalities)
    if brain:
        draw_split(study, config, scan_grids(study, runs), gap_trs(study, modalities, config), films_of(runs))


def _require_recogniser(asr: str, modalities: Mapping[str, Modality]) -> None:
    """Refuse a recogniser that cannot be had, or would hear nothing, before hours of training."""
    if not any(m.kind == "audio" and m.can_reconstruct() for m in modalities.values()):
        raise ConfigError(f"evaluate.asr={asr} hears nothing: no sound is made; add --audio mel, or leave it out")
    find_recogniser(asr)


@contextmanager
def _advice(kind: str | None) -> Iterator[None]:
    """Say what to do about a file of a kind that may be left out, where the error does not say it itself."""
    try:
        yield
    except DataError as error:
        if kind is None or "; " in str(error):
            raise
        raise DataError(f"{error}; mend the file, or leave the kind out (--{kind} none)") from error


def _slice_time_ref(study: Study) -> float:
    references = {s.slice_time_ref for s in study.scans} or {0.5}
    if len(references) > 1:
        raise ConfigError(f"scans have different slice_time_ref: {sorted(references)}; study them apart")
    return references.pop()


def build_modalities(registry: Registry, study: Study, config: RunConfig) -> dict[str, Modality]:
    """The stimulus modalities of a run by key: kinds from the config, and each ready-made table under its own name."""
    chosen = {
        k: n for k, n in config.modalities.items() if n != "none" and registry.modality_class(n).role == "stimulus"
    }
    built = {kind: registry.modality(name, **config.settings.get(kind, {})) for kind, name in chosen.items()}
    for stimulus in study.stimuli:
        for label, table in stimulus.features.items():
            tr_s = float(table.tr_s if table.tr_s is not None else study.tr_s)
            stated = {"label": label, "tr_s": tr_s, "start_s": float(table.start_s), "hemodynamics": table.hemodynamics}
            built[label] = registry.modality("features_table", **(stated | config.settings.get("features", {})))
    if not built:
        raise ConfigError("no modality is left; choose a plugin for at least one kind, for example --text bge")
    return built
