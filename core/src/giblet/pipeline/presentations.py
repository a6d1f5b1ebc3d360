"""Who saw what, and on which clock: the runs of a study, their sources and their TR grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

from giblet.alignment.grid import Overlap, overlap, stop_s
from giblet.data.study import Scan, Stimulus, Study
from giblet.errors import ConfigError, DataError
from giblet.modality import Modality
from giblet.pipeline.flipped import require_upright
from giblet.types import Features, Source, TRGrid


@dataclass(frozen=True)
class Run:
    """One presentation of one stimulus: the scans of those who shared its clock, and a source a modality."""

    name: str
    stimulus: Stimulus
    offset_s: Fraction
    scans: tuple[Scan, ...]
    sources: Mapping[str, Source]


def presentations(study: Study, modalities: Mapping[str, Modality]) -> list[Run]:
    """Scans that share a stimulus and an offset share a run; without scans each stimulus is one."""
    if not study.scans:
        return [Run(s.name, s, Fraction(0), (), sources_of(s, modalities, study)) for s in study.stimuli]
    groups: dict[tuple[str, str, Fraction], list[Scan]] = {}
    for scan in study.scans:
        groups.setdefault((scan.run, scan.stimulus, scan.offset_s), []).append(scan)
    names = [run for run, _, _ in groups]
    return [
        Run(
            run if names.count(run) == 1 else f"{run} {stimulus} +{float(offset):g}s",
            study.stimulus(stimulus),
            offset,
            tuple(scans),
            sources_of(study.stimulus(stimulus), modalities, study),
        )
        for (run, stimulus, offset), scans in groups.items()
    ]


def sources_of(stimulus: Stimulus, modalities: Mapping[str, Modality], study: Study) -> dict[str, Source]:
    """The file and stream of each modality. Every run must have every modality; else the user leaves it out."""
    sources = {}
    for key, modality in modalities.items():
        if key in stimulus.features:
            sources[key] = Source(stimulus.features[key].path)
        elif modality.kind in stimulus.files:
            sources[key] = stimulus.source(modality.kind)
        else:
            table = any(key in s.features for s in study.stimuli)
            way = f"take {key} away from the other stimuli" if table else f"add --{key} none"
            raise ConfigError(f"stimulus {stimulus.name!r} of {study.name!r} has no {key}; give it, or {way}")
    return sources


def films_of(runs: Sequence[Run]) -> dict[str, frozenset[Path]]:
    """The files that each run shows: two runs that share one show the same film."""
    tables = {r.name: [t.path for t in r.stimulus.features.values()] for r in runs}
    return {r.name: frozenset([*r.stimulus.files.values(), *tables[r.name]]) for r in runs}


def grids_of(
    study: Study, runs: Sequence[Run], features: Mapping[tuple[str, str], Features]
) -> tuple[dict[str, TRGrid], dict[str, Any]]:
    """Each run's clock over the TRs that stimulus and scans share, and what was cut."""
    grids, cuts = {}, {}
    for run in runs:
        mine = [f for (name, _), f in features.items() if name == run.name]
        # The film says when it ends; captions may claim to outlast it.
        end = max(stop_s(f) for f in [f for f in mine if f.durations is None] or mine)
        volumes = max((s.n_volumes for s in run.scans), default=ceil((end - run.offset_s) / study.tr_s))
        shared = overlap(end, volumes, study.tr_s, run.offset_s)
        require_overlap(run, shared, end)
        grids[run.name] = TRGrid(study.tr_s, shared.n_trs, run.offset_s)
        cuts[run.name] = shared
    return grids, cuts


def require_overlap(run: Run, shared: Overlap, end_s: Fraction) -> None:
    """Refuse a run whose stimulus, which ends at `end_s`, shares no TR with its scans, or whose tables look flipped.

    Raises
    ------
    DataError
        If there is none, or one does.
    """
    require_upright(run.scans, end_s)
    if shared.n_trs < 1:
        raise DataError(
            f"run {run.name}: stimulus ends at {float(end_s):.1f} s, the scan begins at {float(run.offset_s):.1f} s "
            "of it, so nothing overlaps; --offset is the stimulus time at which volume 0 begins"
        )
