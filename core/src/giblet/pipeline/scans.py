"""Everybody's BOLD on the grid of its run: read, cleaned block by block, scaled by training TRs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.study import Scan, Study
from giblet.errors import DataError
from giblet.modality import Modality
from giblet.pipeline.nuisance import confound_bases, read_nuisances, regressors
from giblet.pipeline.presentations import Run
from giblet.pipeline.spaces import Measured, Raw, build_brain, into_space, measured_voxels
from giblet.plugins import Registry
from giblet.types import Aligned, Int, Nuisance, Progress

Scale = NDArray[np.floating[Any]]


def add_scans(
    registry: Registry,
    study: Study,
    runs: Sequence[Run],
    config: RunConfig,
    timelines: Sequence[Timeline],
    progress: Progress,
    brain: Modality | None = None,
) -> tuple[Modality, list[Timeline], dict[str, Scale]]:
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
    raw: Raw = {}
    for done, ((scan, t), source, nuisance) in enumerate(zip(placed, sources, nuisances, strict=True)):
        aligned = stages.align(registry, brain, stages.extract(registry, brain, source), t.grid)
        with _named(scan):
            raw[scan.subject, t.run] = _cleaned(brain, aligned, t, nuisance)
        progress("scans", done + 1, len(placed))
    sd = _scale(raw, timelines)
    voxels = measured_voxels(brain, raw)
    brain, raw = into_space(brain, raw, timelines, learn=new)
    left = {(s.subject, t.run): n for (s, t), n in zip(placed, nuisances, strict=True) if n is not None}
    return brain, [_scanned(brain, t, raw, voxels, left) for t in timelines], sd


def _scanned(brain: Modality, t: Timeline, raw: Raw, voxels: Raw, left: Mapping[tuple[str, str], Nuisance]) -> Timeline:
    """A run with its scans, and what left them."""
    nuisance = {s: n for (s, run), n in left.items() if run == t.run}
    return replace(
        t,
        scans={s: y for (s, run), (y, _) in raw.items() if run == t.run},
        scanned={s: m for (s, run), (_, m) in raw.items() if run == t.run},
        cleaning=block_cleaning(brain, t),
        nuisance=nuisance,
        confounds={s: confound_bases(brain, t, n) for s, n in nuisance.items()},
        voxels={s: y for (s, run), (y, _) in voxels.items() if run == t.run},
    )


@contextmanager
def _named(scan: Scan) -> Iterator[None]:
    """Say whose scan it is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"subject {scan.subject} ({scan.run}): {error}; or --exclude {scan.subject}") from None


def _cleaned(brain: Modality, aligned: Aligned, t: Timeline, nuisance: Nuisance | None) -> Measured:
    """One scan on its grid, cleaned block by block, [T, V], and which TRs can be used in a block, [T]."""
    values, mask = aligned.rows(slice(None), 1)
    measured = int(mask.sum())
    blocks = {(b.start, min(b.stop, measured)) for b in t.blocks if b.start < measured}
    inside = np.zeros(len(mask), bool)
    for start, stop in blocks:
        inside[start:stop] = True
    confounds, censored = (None, None) if nuisance is None else regressors(nuisance, len(mask))
    if censored is not None:
        inside &= ~censored
    y = brain.clean(values[:, 0], [slice(*b) for b in sorted(blocks)], float(t.grid.tr_s), confounds)
    return (y * inside[:, None]).astype(np.float32), inside


def block_cleaning(brain: Modality, t: Timeline) -> dict[tuple[int, int], NDArray[np.float32]]:
    """What the brain modality's cleaning does to each block, as a matrix [n, n]: it is linear and uses no labels."""
    sizes = {(b.start, b.stop): b.stop - b.start for b in t.blocks}
    tr_s = float(t.grid.tr_s)
    return {at: brain.clean(np.eye(n, dtype=np.float32), [slice(0, n)], tr_s) for at, n in sizes.items()}


def _scale(raw: Raw, timelines: Sequence[Timeline]) -> dict[str, Scale]:
    """Divide each voxel by its SD over the person's training TRs of all runs; returns the SDs."""
    found: dict[str, Scale] = {}
    by_run = {t.run: t for t in timelines}
    for subject in {s for s, _ in raw}:
        mine = [key for key in raw if key[0] == subject]
        train = np.concatenate([_used(*raw[key], by_run[key[1]].trs("train")) for key in mine])
        sd = train.std(0) if len(train) else np.zeros(raw[mine[0]][0].shape[1])
        if not len(train):
            raise DataError(
                f"{subject} has no training TRs; leave them out with --exclude {subject}, or give more runs"
            )
        found[subject] = sd
        for key in mine:
            y, mask = raw[key]
            raw[key] = (scaled(y, sd), mask)
    return found


def _used(y: NDArray[np.float32], there: NDArray[np.bool_], trs: Int) -> NDArray[np.float32]:
    return y[trs[there[trs]]]


def scaled(y: NDArray[np.float32], sd: Scale) -> NDArray[np.float32]:
    """BOLD [T, V] over the SD [V] of each voxel; 0 where a voxel does not vary."""
    return np.divide(y, sd, out=np.zeros_like(y), where=sd > 0)
