"""Everybody's BOLD on the grid of its run: read, cleaned block by block, scaled by training TRs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import DataError
from giblet.modality import Modality
from giblet.pipeline.presentations import Run
from giblet.plugins import Registry
from giblet.types import Aligned, Progress, Source

Measured = tuple[NDArray[np.float32], NDArray[np.bool_]]


def add_scans(
    registry: Registry, runs: Sequence[Run], config: RunConfig, timelines: Sequence[Timeline], progress: Progress
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
