"""What a run of a study would be given: its streams, clocks and split, read off headers; nothing is extracted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

from giblet.alignment.grid import Overlap, overlap
from giblet.config import RunConfig
from giblet.data.shared_films import Films
from giblet.data.study import Study
from giblet.errors import GibletError
from giblet.modality import Modality
from giblet.pipeline.describe import clocks_of, cut_notes, describe_scan
from giblet.pipeline.extents import Extent, extent_of
from giblet.pipeline.prepare import build_modalities
from giblet.pipeline.presentations import Run, films_of, presentations, require_overlap
from giblet.pipeline.splits import draw_splits, gap_notes, gap_trs
from giblet.plugins import Registry
from giblet.types import TRGrid


@dataclass(frozen=True, slots=True)
class Overview:
    """What a run's `inputs.json` would say, the gap between blocks in seconds, and what would stop the run, or None."""

    described: dict[str, Any]
    gap_s: float
    problem: str | None


def overview(study: Study, config: RunConfig, registry: Registry) -> Overview:
    """Read the headers of a study's files.

    Raises
    ------
    GibletError
        If a file cannot be read, a modality has none, or stimulus and scans do not overlap.
    """
    modalities = build_modalities(registry, study, config)
    runs = presentations(study, modalities)
    extents = {r.name: {k: extent_of(r, k, m, study.tr_s) for k, m in modalities.items()} for r in runs}
    grids = {r.name: _grid(r, list(extents[r.name].values()), study) for r in runs}
    cuts = {name: cut for name, (_, cut) in grids.items()}
    clocks = {name: grid for name, (grid, _) in grids.items()}
    gap = gap_trs(study, modalities, config)
    split, problem = _split(study, config, clocks, gap, films_of(runs))
    described = {
        "clocks": clocks_of(clocks),
        "scans": [describe_scan(s, r.name, clocks[r.name].n_trs, cuts) for r in runs for s in r.scans],
        "streams": [_stream(r, k, e, modalities[k], clocks[r.name]) for r in runs for k, e in extents[r.name].items()],
        "split": split,
        "notes": [*study.notes, *cut_notes(cuts), *(gap_notes(config) if study.scans else [])],
    }
    return Overview(described, gap * float(study.tr_s), problem)


def _grid(run: Run, extents: Sequence[Extent], study: Study) -> tuple[TRGrid, Overlap]:
    """The TRs that stimulus and scans share, by what the headers say; the film says when it ends, not its captions."""
    known = [e for e in extents if e.stop_s is not None]
    frames = [e for e in known if e.rate_hz is not None] or known
    end = max((e.stop_s for e in frames if e.stop_s is not None), default=Fraction(0))
    volumes = max((s.n_volumes for s in run.scans), default=ceil((end - run.offset_s) / study.tr_s))
    shared = overlap(end if frames else run.offset_s + volumes * study.tr_s, volumes, study.tr_s, run.offset_s)
    require_overlap(run, shared, end)
    return TRGrid(study.tr_s, shared.n_trs, run.offset_s), shared


def _split(
    study: Study, config: RunConfig, clocks: Mapping[str, TRGrid], gap: int, films: Films
) -> tuple[dict[str, list[list[Any]]], str | None]:
    """The blocks of each run, in each fold that is done; none, and the reason, where the study cannot be split."""
    if not study.scans:
        return {}, None
    try:
        found = draw_splits(study, config, clocks, gap, films)
    except GibletError as error:
        return {}, str(error)
    return {run: [[b.label, b.start, b.stop] for b in blocks] for run, blocks in found.items()}, None


def _stream(run: Run, signal: str, e: Extent, modality: Modality, grid: TRGrid) -> dict[str, Any]:
    covered = _joined(_trs(e.spans_s, grid))
    return {
        "clock": run.name,
        "stimulus": run.stimulus.name,
        "signal": signal,
        "kind": modality.kind,
        "modality": modality.name,
        "what": e.what,
        "samples": e.samples,
        "rate_hz": e.rate_hz,
        "start_s": float(e.start_s),
        "stop_s": float(e.start_s if e.stop_s is None else e.stop_s),
        "covered": covered,
        "covered_trs": sum(stop - start for start, stop in covered),
        "n_trs": grid.n_trs,
    }


def _trs(spans_s: Sequence[tuple[Fraction, Fraction]], grid: TRGrid) -> Iterator[tuple[int, int]]:
    """The TRs that each span reaches into."""
    for start, stop in spans_s:
        first, last = (floor((start - grid.start_s) / grid.tr_s), ceil((stop - grid.start_s) / grid.tr_s))
        if first < grid.n_trs and max(last, first + 1) > 0:
            yield max(first, 0), min(max(last, first + 1), grid.n_trs)


def _joined(spans: Iterator[tuple[int, int]]) -> list[list[int]]:
    """Spans without overlaps, in order."""
    out: list[list[int]] = []
    for start, stop in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], stop)
        else:
            out.append([start, stop])
    return out
