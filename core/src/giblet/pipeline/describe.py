"""What a run was given, for `inputs.json` and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.alignment.grid import stop_s
from giblet.data.dataset import Timeline
from giblet.data.study import Scan, Study
from giblet.modality import Modality
from giblet.pipeline.presentations import Run
from giblet.plugins import Registry
from giblet.types import Aligned, Features, TRGrid


def describe(
    study: Study,
    runs: Sequence[Run],
    timelines: Sequence[Timeline],
    cuts: Mapping[str, Any],
    modalities: Mapping[str, Modality],
    registry: Registry,
) -> dict[str, Any]:
    """The `inputs.json` of a run."""
    pairs = list(zip(runs, timelines, strict=True))
    return {
        "clocks": clocks_of({t.run: t.grid for t in timelines}),
        "scans": [
            describe_scan(s, t.run, t.grid.n_trs, cuts) | _files(s) | _left_out(s, t)
            for run, t in pairs
            for s in run.scans
        ],
        "streams": [_stream(run, t, k, a, modalities[k]) for run, t in pairs for k, a in t.aligned.items()],
        "split": {t.run: [[b.label, b.start, b.stop] for b in t.blocks] for t in timelines},
        "notes": [*study.notes, *cut_notes(cuts), *_reading_notes(timelines)],
        "wrappers": registry.wrappers,
    }


def clocks_of(grids: Mapping[str, TRGrid]) -> dict[str, dict[str, float]]:
    """The TR grid of each run as plain values."""
    return {run: {"start_s": float(g.start_s), "tr_s": float(g.tr_s), "n_trs": g.n_trs} for run, g in grids.items()}


def describe_scan(s: Scan, run: str, n_trs: int, cuts: Mapping[str, Any]) -> dict[str, Any]:
    """A scan, whose run has `n_trs` TRs, and what was cut."""
    return {
        "subject": s.subject,
        "run": s.run,
        "clock": run,
        "stimulus": s.stimulus,
        "bold": s.bold.name,
        "tr_s": float(s.tr_s),
        "offset_s": float(s.offset_s),
        "n_volumes": s.n_volumes,
        "n_trs": n_trs,
        "cut_scan_s": max(0.0, float((s.n_volumes - n_trs) * s.tr_s)),
        "cut_stimulus_s": cuts[run].cut_stimulus_s,
    }


def _files(s: Scan) -> dict[str, Any]:
    """What of its files was named: the array of a .mat file, and columns of its table of confounds."""
    return {"variable": s.files.variable, "confound_columns": list(s.files.confound_columns)}


def _left_out(s: Scan, t: Timeline) -> dict[str, Any]:
    """What was regressed out of a scan beside drift, and how many of its volumes are not used."""
    found = t.nuisance.get(s.subject)
    names, censored = ((), 0) if found is None else (found.names, int(found.censored.sum()))
    return {"confounds": list(names), "censored_volumes": censored}


def _stream(run: Run, t: Timeline, signal: str, a: Aligned, modality: Modality) -> dict[str, Any]:
    return {
        "clock": t.run,
        "stimulus": run.stimulus.name,
        "signal": signal,
        "kind": modality.kind,
        "modality": modality.name,
        "samples": len(a.features.values),
        "rate_hz": _rate(a.features),
        "frames_per_tr": a.frames,
        "start_s": float(a.features.onset_s[0]) if len(a.features.ticks) else 0.0,
        "stop_s": float(stop_s(a.features)),
        "covered": _spans(a.valid),
        "covered_trs": int(a.valid.sum()),
        "n_trs": t.grid.n_trs,
        "stream": a.features.attrs.get("stream"),
    }


def _spans(valid: NDArray[np.bool_]) -> list[list[int]]:
    """Where a mask [T] is true, as `[first TR, last TR + 1]`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]])))
    return [[int(a), int(b)] for a, b in edges.reshape(-1, 2)]


def _rate(features: Features) -> float | None:
    """Samples a second, holes left out: one over the mean of the steps that are not half as long again as usual."""
    if features.durations is not None or len(features.ticks) < 2:
        return None
    steps = np.diff(features.ticks)
    return 1 / float(steps[steps < 1.5 * np.median(steps)].mean() * float(features.timebase))


def _reading_notes(timelines: Sequence[Timeline]) -> list[str]:
    """What the readers of files had to say (`attrs["notes"]`): which stream was read, what was damaged."""
    every = ((t.run, key, a.features.attrs.get("notes", "")) for t in timelines for key, a in t.aligned.items())
    return [f"{run}: {key}: {note}" for run, key, notes in every for note in notes.splitlines()]


def cut_notes(cuts: Mapping[str, Any]) -> list[str]:
    """Say what was cut where stimulus and scans do not cover the same time."""
    notes = []
    for run, cut in cuts.items():
        if cut.cut_scan_s > 0:
            notes.append(f"{run}: {cut.cut_scan_s:g} s of scan have no stimulus and were cut")
        if cut.cut_stimulus_s >= 1:
            notes.append(f"{run}: {cut.cut_stimulus_s:g} s of stimulus have no scan and were cut")
    return notes
