"""From a study's files to runs on their TR grids: modalities built and fitted, features extracted, splits drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.alignment.grid import overlap, stop_s
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Split, block_split, given_split, plumbing_split, required_gap_s
from giblet.data.store import Store, StoreWriter, default_folder
from giblet.data.study import Scan, Stimulus, Study
from giblet.errors import ConfigError, DataError
from giblet.modality import Modality
from giblet.plugins import Registry
from giblet.types import Aligned, Features, Source, TRGrid

Progress = Callable[[str, int, int], None]
Measured = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Inputs:
    """What a run works on: fitted modalities by key, runs, the gap in TRs, and what there is to tell of the files."""

    registry: Registry
    modalities: dict[str, Modality]
    brain: Modality | None
    timelines: list[Timeline]
    gap: int
    slice_time_ref: float
    described: dict[str, Any]
    keys: list[str] = field(default_factory=list)

    @property
    def subjects(self) -> list[str]:
        """Everybody who was scanned."""
        return list(dict.fromkeys(s for t in self.timelines for s in t.scans))


def extract_study(
    study: Study, config: RunConfig, registry: Registry, progress: Progress, *, brain: bool = True
) -> Inputs:
    """Extract, align and split everything that a run needs; what a store has is not computed again.

    Raises
    ------
    ConfigError
        If a modality has no file, or the split is not possible.
    DataError
        If stimulus and scans do not overlap or are too short to hold out a test block.
    """
    store = open_store(registry)
    modalities = build_modalities(registry, study, config)
    runs = _runs(study, modalities)
    wanted = [(run, key) for run in runs for key in modalities]
    modalities = {k: m.fit([r.sources[k] for r in runs], [[]] * len(runs)) for k, m in modalities.items()}
    features: dict[tuple[str, str], Features] = {}
    by_source: dict[tuple[str, Source], Features] = {}
    for done, (run, key) in enumerate(wanted):
        source = run.sources[key]
        if (key, source) not in by_source:
            by_source[key, source] = stages.extract(registry, modalities[key], source)
        features[run.name, key] = by_source[key, source]
        progress("extract", done + 1, len(wanted))
    grids, cuts = _grids(study, runs, features)
    gap = gap_trs(study, modalities, config)
    split = {r.name: [] for r in runs} if not study.scans else _split(study, config, grids, gap)
    timelines = [
        Timeline(
            r.name, grids[r.name], tuple(split[r.name]), _aligned(registry, modalities, r, features, grids[r.name])
        )
        for r in runs
    ]
    brain_modality = None
    if study.scans and brain:
        brain_modality, timelines = _add_scans(registry, runs, config, timelines, progress)
    keys = [store.key(modalities[k], r.sources[k]) for r, k in wanted]
    described = _describe(study, runs, timelines, cuts, modalities, registry)
    references = {s.slice_time_ref for s in study.scans} or {0.5}
    if len(references) > 1:
        raise ConfigError(f"scans have different slice_time_ref: {sorted(references)}; study them apart")
    return Inputs(registry, modalities, brain_modality, timelines, gap, references.pop(), described, keys)


def open_store(registry: Registry) -> Store:
    """Put the feature store behind the `extract` stage."""
    store = Store(default_folder() / "features", lambda name: registry.plugins[name].version)
    registry.pm.register(store, name="giblet-store")
    registry.pm.register(StoreWriter(store), name="giblet-store-writer")
    return store


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
        raise ConfigError("no modality is left; choose at least one, for example --text bge")
    return built


@dataclass(frozen=True)
class _Run:
    """One presentation of one stimulus: the scans of those who shared its clock, and a source a modality."""

    name: str
    stimulus: Stimulus
    offset_s: Fraction
    scans: tuple[Scan, ...]
    sources: Mapping[str, Source]


def _runs(study: Study, modalities: Mapping[str, Modality]) -> list[_Run]:
    if not study.scans:
        return [_Run(s.name, s, Fraction(0), (), _sources(s, modalities, study)) for s in study.stimuli]
    groups: dict[tuple[str, str, Fraction], list[Scan]] = {}
    for scan in study.scans:
        groups.setdefault((scan.run, scan.stimulus, scan.offset_s), []).append(scan)
    names = [run for run, _, _ in groups]
    return [
        _Run(
            run if names.count(run) == 1 else f"{run} {stimulus} +{float(offset):g}s",
            study.stimulus(stimulus),
            offset,
            tuple(scans),
            _sources(study.stimulus(stimulus), modalities, study),
        )
        for (run, stimulus, offset), scans in groups.items()
    ]


def _sources(stimulus: Stimulus, modalities: Mapping[str, Modality], study: Study) -> dict[str, Source]:
    """The file and stream of each modality. Every run must have every modality; else the user leaves it out."""
    sources = {}
    for key, modality in modalities.items():
        if key in stimulus.features:
            sources[key] = Source(stimulus.features[key].path)
        elif modality.kind in stimulus.files:
            sources[key] = Source(stimulus.files[modality.kind], stimulus.streams.get(modality.kind))
        else:
            raise ConfigError(
                f"stimulus {stimulus.name!r} of {study.name!r} has no {key}; give it, or add --{key} none"
            )
    return sources


def _grids(
    study: Study, runs: Sequence[_Run], features: Mapping[tuple[str, str], Features]
) -> tuple[dict[str, TRGrid], dict[str, Any]]:
    """Each run's clock over the TRs that stimulus and scans share, and what was cut."""
    grids, cuts = {}, {}
    for run in runs:
        mine = [f for (name, _), f in features.items() if name == run.name]
        # The film says when it ends; captions may claim to outlast it.
        end = max(stop_s(f) for f in [f for f in mine if f.durations is None] or mine)
        volumes = max((s.n_volumes for s in run.scans), default=ceil((end - run.offset_s) / study.tr_s))
        shared = overlap(end, volumes, study.tr_s, run.offset_s)
        if shared.n_trs < 1:
            raise DataError(
                f"run {run.name}: stimulus ends at {float(end):.1f} s, the scan begins at {float(run.offset_s):.1f} s "
                "of it, so nothing overlaps; --offset is the stimulus time at which volume 0 begins"
            )
        grids[run.name] = TRGrid(study.tr_s, shared.n_trs, run.offset_s)
        cuts[run.name] = shared
    return grids, cuts


def _aligned(
    registry: Registry,
    modalities: Mapping[str, Modality],
    run: _Run,
    features: Mapping[tuple[str, str], Features],
    grid: TRGrid,
) -> dict[str, Aligned]:
    return {k: stages.align(registry, m, features[run.name, k], grid) for k, m in modalities.items()}


def gap_trs(study: Study, modalities: Mapping[str, Modality], config: RunConfig) -> int:
    """The gap between blocks in TRs, from the configured kernels and contexts.

    Raises
    ------
    ConfigError
        If the config asks for a smaller one.
    """
    context = max(float(getattr(m, "context_s", 0.0)) for m in modalities.values())
    least = required_gap_s(config.model.kernel_s, context)
    asked = config.split.gap_s if config.split.gap_s is not None else least
    if asked < least and not config.plumbing:
        raise ConfigError(
            f"split.gap_s = {asked:g} is too small: kernels and feature context reach {least:g} s; give at least that"
        )
    return ceil(asked / float(study.tr_s))


def _split(study: Study, config: RunConfig, grids: Mapping[str, TRGrid], gap: int) -> Split:
    lengths = {run: grid.n_trs for run, grid in grids.items()}
    if config.plumbing:
        return plumbing_split(lengths)
    if study.split:
        return given_split(study.split, lengths, gap)
    return block_split(lengths, gap, config.split.train, config.split.validation)


def _add_scans(
    registry: Registry, runs: Sequence[_Run], config: RunConfig, timelines: Sequence[Timeline], progress: Progress
) -> tuple[Modality, list[Timeline]]:
    """Fit the brain modality on training volumes, read everybody's BOLD, clean it block by block and scale it."""
    brain = registry.modality(config.modalities.get("fmri", "fmri_mask"), **config.settings.get("fmri", {}))
    placed = [(scan, t) for run, t in zip(runs, timelines, strict=True) for scan in run.scans]
    sources = [Source(scan.bold, run=scan.run, subject=scan.subject) for scan, _ in placed]
    brain = brain.fit(sources, [[b.trs for b in t.of("train")] for _, t in placed])
    raw: dict[tuple[str, str], Measured] = {}
    for done, ((scan, t), source) in enumerate(zip(placed, sources, strict=True)):
        aligned = stages.align(registry, brain, stages.extract(registry, brain, source), t.grid)
        raw[scan.subject, t.run] = _cleaned(brain, aligned, t)
        progress("scans", done + 1, len(placed))
    _scale(raw, timelines)
    return brain, [
        replace(
            t,
            scans={s: y for (s, run), (y, _) in raw.items() if run == t.run},
            scanned={s: m for (s, run), (_, m) in raw.items() if run == t.run},
        )
        for t in timelines
    ]


def _cleaned(brain: Modality, aligned: Aligned, t: Timeline) -> Measured:
    """One scan on its grid, cleaned block by block, [T, V], and which TRs were measured in a block, [T]."""
    values, mask = aligned.rows(slice(None), 1)
    measured = int(mask.sum())
    blocks = {(b.start, min(b.stop, measured)) for b in t.blocks if b.start < measured}
    inside = np.zeros(len(mask), bool)
    for start, stop in blocks:
        inside[start:stop] = True
    y = brain.clean(values[:, 0], [slice(*b) for b in sorted(blocks)], float(t.grid.tr_s))
    return (y * inside[:, None]).astype(np.float32), inside


def _scale(raw: dict[tuple[str, str], Measured], timelines: Sequence[Timeline]) -> None:
    """Divide each voxel by its SD over the person's training TRs of all runs."""
    by_run = {t.run: t for t in timelines}
    for subject in {s for s, _ in raw}:
        mine = [key for key in raw if key[0] == subject]
        train = np.concatenate([raw[key][0][by_run[key[1]].trs("train")] for key in mine])
        sd = train.std(0) if len(train) else np.zeros(raw[mine[0]][0].shape[1])
        if not len(train):
            raise DataError(
                f"{subject} has no training TRs; leave them out with --exclude {subject}, or give more runs"
            )
        for key in mine:
            y, mask = raw[key]
            raw[key] = (np.divide(y, sd, out=np.zeros_like(y), where=sd > 0), mask)


def _describe(
    study: Study,
    runs: Sequence[_Run],
    timelines: Sequence[Timeline],
    cuts: Mapping[str, Any],
    modalities: Mapping[str, Modality],
    registry: Registry,
) -> dict[str, Any]:
    """The `inputs.json` of a run."""
    scans = [
        {
            "subject": s.subject,
            "run": s.run,
            "stimulus": s.stimulus,
            "bold": s.bold.name,
            "tr_s": float(s.tr_s),
            "offset_s": float(s.offset_s),
            "n_volumes": s.n_volumes,
            "n_trs": t.grid.n_trs,
            "cut_scan_s": max(0.0, float((s.n_volumes - t.grid.n_trs) * s.tr_s)),
            "cut_stimulus_s": cuts[t.run].cut_stimulus_s,
        }
        for run, t in zip(runs, timelines, strict=True)
        for s in run.scans
    ]
    streams = [
        {
            "stimulus": t.run,
            "modality": modalities[key].name,
            "samples": len(a.features.values),
            "rate_hz": _rate(a.features),
            "frames_per_tr": a.frames,
            "covered_trs": int(a.valid.sum()),
            "n_trs": t.grid.n_trs,
            "stream": a.features.attrs.get("stream"),
        }
        for t in timelines
        for key, a in t.aligned.items()
    ]
    split = {t.run: [[b.label, b.start, b.stop] for b in t.blocks] for t in timelines}
    notes = [*study.notes, *_cut_notes(cuts)]
    return {"scans": scans, "streams": streams, "split": split, "notes": notes, "wrappers": registry.wrappers}


def _rate(features: Features) -> float | None:
    if features.durations is not None or len(features.ticks) < 2:
        return None
    return (len(features.ticks) - 1) / float((features.ticks[-1] - features.ticks[0]) * features.timebase)


def _cut_notes(cuts: Mapping[str, Any]) -> list[str]:
    notes = []
    for run, cut in cuts.items():
        if cut.cut_scan_s > 0:
            notes.append(f"{run}: {cut.cut_scan_s:g} s of scan have no stimulus and were cut")
        if cut.cut_stimulus_s >= 1:
            notes.append(f"{run}: {cut.cut_stimulus_s:g} s of stimulus have no scan and were cut")
    return notes
