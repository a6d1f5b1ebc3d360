"""Everybody's BOLD on the grid of its run, in its brain space; it stays on the disk until it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.brain import BrainModality
from giblet.config import RunConfig
from giblet.data.dataset import Cleaning, Timeline
from giblet.data.study import Scan, Study
from giblet.pipeline.cleaned import Part, Scale, clean_person
from giblet.pipeline.nuisance import average_bases, confound_bases, read_nuisances
from giblet.pipeline.presentations import Run
from giblet.pipeline.spaces import AVERAGE, Raw, build_brain, into_space, measured_voxels
from giblet.plugins import Registry
from giblet.types import Nuisance, Progress

Endings = dict[tuple[str, str], slice]
"""By person and run: what was measured of the block that the scan ends in."""


def add_scans(
    registry: Registry,
    study: Study,
    runs: Sequence[Run],
    config: RunConfig,
    timelines: Sequence[Timeline],
    progress: Progress,
    brain: BrainModality | None = None,
) -> tuple[BrainModality, list[Timeline], dict[str, Scale]]:
    """Read everybody's BOLD, clean it block by block, scale it, and bring it into its space; with the SDs [V].

    Without a fitted `brain` the brain modality is fitted on training volumes first.
    """
    placed = [(scan, t) for run, t in zip(runs, timelines, strict=True) for scan in run.scans]
    sources = [scan.source() for scan, _ in placed]
    progress("scans", 0, len(placed))
    new = brain is None
    if brain is None:
        brain = build_brain(registry, config, study)
    nuisances = read_nuisances(brain, [scan for scan, _ in placed])
    if new:
        brain = brain.fit(sources, [[b.trs for b in t.of("train")] for _, t in placed])
    raw, sd, ending = _cleaned(registry, brain, placed, nuisances, progress)
    voxels, there = measured_voxels(brain, raw), {key: m for key, (_, m) in raw.items()}
    brain, raw = into_space(brain, raw, timelines, learn=new)
    left = {(s.subject, t.run): n for (s, t), n in zip(placed, nuisances, strict=True) if n is not None}
    return brain, [_scanned(brain, t, raw, voxels, left, there, ending) for t in timelines], sd


def _cleaned(
    registry: Registry,
    brain: BrainModality,
    placed: Sequence[tuple[Scan, Timeline]],
    nuisances: Sequence[Nuisance | None],
    progress: Progress,
) -> tuple[Raw, dict[str, Scale], Endings]:
    """Everybody's clean scans, their SDs, which are of all runs, and where scans end early; a person at a time."""
    made: Raw = {}
    ending: Endings = {}
    sd: dict[str, Scale] = {}
    for subject in dict.fromkeys(scan.subject for scan, _ in placed):
        parts = []
        for (scan, t), nuisance in zip(placed, nuisances, strict=True):
            if scan.subject == subject:
                aligned = stages.align(registry, brain, stages.extract(registry, brain, scan.source()), t.grid)
                parts.append(Part.of(scan, t, aligned, nuisance))
        clean = clean_person(brain, registry.plugins[brain.name].version, parts)
        made |= {(subject, p.timeline.run): (y, p.there) for p, y in zip(parts, clean.runs, strict=True)}
        sd[subject] = clean.sd
        ending |= {(subject, p.timeline.run): p.ending for p in parts if p.ending is not None}
        progress("scans", len(made), len(placed))
    return {(scan.subject, t.run): made[scan.subject, t.run] for scan, t in placed}, sd, ending


def _scanned(
    brain: BrainModality,
    t: Timeline,
    raw: Raw,
    voxels: Raw,
    left: Mapping[tuple[str, str], Nuisance],
    there: Mapping[tuple[str, str], NDArray[np.bool_]],
    ending: Endings,
) -> Timeline:
    """A run with its scans, and what left them; `there` says where each person was measured."""
    cut = {s: b for (s, run), b in ending.items() if run == t.run}
    nuisance = {s: n for (s, run), n in left.items() if run == t.run}
    confounds = {s: confound_bases(brain, t, n) for s, n in nuisance.items()}
    if brain.averages:
        confounds[AVERAGE] = average_bases(confounds, {s: m for (s, run), m in there.items() if run == t.run})
    return replace(
        t,
        scans={s: y for (s, run), (y, _) in raw.items() if run == t.run},
        scanned={s: m for (s, run), (_, m) in raw.items() if run == t.run},
        cleaning=block_cleaning(brain, t),
        ending={s: (b.start, b.stop, _cleaning(brain, t, b.stop - b.start)) for s, b in cut.items()},
        nuisance=nuisance,
        confounds=confounds,
        voxels={s: y for (s, run), (y, _) in voxels.items() if run == t.run},
    )


def block_cleaning(brain: BrainModality, t: Timeline) -> dict[tuple[int, int], Cleaning]:
    """What the brain modality's cleaning does to each block: it is linear and uses no labels."""
    return {(b.start, b.stop): _cleaning(brain, t, b.stop - b.start) for b in t.blocks}


def _cleaning(brain: BrainModality, t: Timeline, n: int) -> Cleaning:
    return Cleaning.of(brain.clean(np.eye(n), [slice(0, n)], float(t.grid.tr_s)))
