"""`study.json`: which files a run was made from, so that it can find them again and knows whether they are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from giblet.data.store import content_hash
from giblet.data.study import FeatureTable, Scan, Stimulus, Study
from giblet.errors import DataError
from giblet.pipeline.folder import RunFolder
from giblet.types import ScanFiles, TableChoice

Record = dict[str, Any]
Place = Callable[[Path | None], str | None]
EXTRA = ("atlas", "labels", "truth")
BESIDE = ("right", "confounds")
"""What lies beside a scan and has a path."""


def record(study: Study, run: Path) -> Record:
    """The study as plain values; paths inside the run's folder are kept relative to it, so that it may move."""

    def place(path: Path | None) -> str | None:
        full = None if path is None else path.absolute()
        inside = full is not None and full.is_relative_to(run.absolute())
        return None if full is None else full.relative_to(run.absolute()).as_posix() if inside else str(full)

    return {
        "name": study.name,
        "folder": place(study.folder),
        "stimuli": [_stimulus(s, place) for s in study.stimuli],
        "scans": [_scan(s, place) for s in study.scans],
        "split": {run_name: [list(b) for b in blocks] for run_name, blocks in study.split.items()},
        **{k: place(getattr(study, k)) for k in EXTRA},
        "notes": list(study.notes),
        "given_tr_s": None if study.given_tr_s is None else str(study.given_tr_s),
        "content": {what: content_hash(path) for what, path in files_of(study)},
    }


def _stimulus(s: Stimulus, place: Place) -> Record:
    tables = {
        k: {
            "path": place(f.path),
            "tr_s": None if f.tr_s is None else str(f.tr_s),
            "start_s": str(f.start_s),
            "hemodynamics": f.hemodynamics,
        }
        for k, f in s.features.items()
    }
    files = {k: place(p) for k, p in s.files.items()}
    return {
        "name": s.name,
        "files": files,
        "streams": dict(s.streams),
        "features": tables,
        "table": asdict(s.table),
    }


def _scan(s: Scan, place: Place) -> Record:
    return {
        "subject": s.subject,
        "run": s.run,
        "stimulus": s.stimulus,
        "bold": place(s.bold),
        "tr_s": str(s.tr_s),
        "n_volumes": s.n_volumes,
        "offset_s": str(s.offset_s),
        "slice_time_ref": s.slice_time_ref,
        "mask": place(s.mask),
        "files": asdict(s.files) | {k: place(getattr(s.files, k)) for k in BESIDE},
    }


def _scan_files(kept: Record, run: Path) -> ScanFiles:
    paths = {k: None if kept[k] is None else run.absolute() / kept[k] for k in BESIDE}
    return ScanFiles(**kept | paths | {"confound_columns": tuple(kept["confound_columns"])})


def identity(study: Study) -> list[Any]:
    """What of a study decides a run beside its features: scans, on what and when, and regions; not where files lie."""
    scans = [[s.stimulus, str(s.offset_s), str(s.tr_s), s.slice_time_ref, *_contents(s)] for s in study.scans]
    return [scans, {what: content_hash(path) for what, path in _regions(study)}]


def _contents(s: Scan) -> list[Any]:
    """What a scan is and what belongs to it, by content."""
    read = [bool(s.files.transposed), s.files.variable, s.files.confound_columns]
    return [*read, *((what, content_hash(path)) for what, path in _of_scan(s))]


def _of_scan(s: Scan) -> list[tuple[str, Path]]:
    beside = {"scan": s.bold, "mask": s.mask, **{k: getattr(s.files, k) for k in BESIDE}}
    return [(what, path) for what, path in beside.items() if path is not None]


def _regions(study: Study) -> list[tuple[str, Path]]:
    """The files that say which voxels are which region."""
    found = {"atlas": study.atlas, "labels": study.labels}
    return [(what, path) for what, path in found.items() if path is not None]


def files_of(study: Study) -> Iterator[tuple[str, Path]]:
    """Every file that decides what a run computes, with what it is."""
    for stimulus in study.stimuli:
        for kind, path in stimulus.files.items():
            yield f"{kind} of {stimulus.name}", path
        for name, table in stimulus.features.items():
            yield f"features {name} of {stimulus.name}", table.path
    for scan in study.scans:
        for what, path in _of_scan(scan):
            yield f"{what} of {scan.subject} {scan.run}", path
    yield from _regions(study)


def restored(kept: Record, run: Path) -> Study:
    """The study that `record` described."""

    def place(text: str | None) -> Path | None:
        return None if text is None else run.absolute() / text

    stimuli = tuple(
        Stimulus(
            s["name"],
            {k: run.absolute() / p for k, p in s["files"].items()},
            s["streams"],
            {k: _table(f, run) for k, f in s["features"].items()},
            _choice(s["table"]),
        )
        for s in kept["stimuli"]
    )
    scans = tuple(
        Scan(
            s["subject"],
            s["run"],
            s["stimulus"],
            run.absolute() / s["bold"],
            Fraction(s["tr_s"]),
            s["n_volumes"],
            Fraction(s["offset_s"]),
            s["slice_time_ref"],
            place(s["mask"]),
            _scan_files(s["files"], run),
        )
        for s in kept["scans"]
    )
    split = {name: tuple((b[0], b[1], b[2]) for b in blocks) for name, blocks in kept["split"].items()}
    extra = {k: place(kept[k]) for k in EXTRA}
    tr_s = None if kept["given_tr_s"] is None else Fraction(kept["given_tr_s"])
    folder = run.absolute() / kept["folder"]
    return Study(kept["name"], folder, stimuli, scans, split, **extra, notes=tuple(kept["notes"]), given_tr_s=tr_s)


def _choice(kept: Record) -> TableChoice:
    return TableChoice(**kept | {"rows": None if kept["rows"] is None else tuple(kept["rows"])})


def _table(kept: Mapping[str, Any], run: Path) -> FeatureTable:
    tr_s = None if kept["tr_s"] is None else Fraction(kept["tr_s"])
    return FeatureTable(run.absolute() / kept["path"], tr_s, Fraction(kept["start_s"]), kept["hemodynamics"])


def known_notes(run: Path, path: Path, subject: str | None = None) -> list[str]:
    """Say that a file is one of those that the run was made from, whatever it is called now.

    Where it is the scan of somebody else than `subject`, say that first.
    """
    kept, content = RunFolder(run).read_json("study.json") or {"content": {}}, content_hash(path)
    found = [what for what, its in kept["content"].items() if its == content]
    if not found:
        return []
    owners = [s["subject"] for s in kept["scans"] if f"scan of {s['subject']} {s['run']}" in found]
    own = f"{path.name} is the {found[0]} of the run's own study"
    said = f"{own}: of what it was trained on a model knows more than of new"
    if subject is None or not owners or subject in owners:
        return [said]
    other = f"{path.name} is {owners[0]}'s scan, read by the head of {subject}: what is read is not to be trusted"
    return [f"{other}; give --subject {owners[0]}", said]


def require_files(study: Study, kept: Record, run: Path) -> None:
    """Refuse files that are gone, or are not those that the run was made from.

    Raises
    ------
    DataError
        Naming the first.
    """
    found = dict(files_of(study))
    for what, content in kept["content"].items():
        path = found.get(what)
        if path is None or not path.is_file():
            where = f", {path}" if path else ""
            raise DataError(
                f"the run {run} was made from the {what}{where}, which is gone; put it back, or name the study's new "
                "place with --study"
            )
        if content_hash(path) != content:
            raise DataError(f"{path} has changed since the run {run}; put the old file back, or run again")
