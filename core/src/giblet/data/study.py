"""A study: films and annotations, the scans of people who followed them, and which belongs to which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from giblet.data.assemble import check_tr, make_scans, make_stimulus, refuse_twice, there, without
from giblet.data.flags import study_from_flags
from giblet.data.parts import FeatureTable, Scan, Stimulus, Study
from giblet.data.study_file import Segment, did_you_mean, read_study_file
from giblet.errors import ConfigError
from giblet.types import seconds

__all__ = ["FeatureTable", "Scan", "Stimulus", "Study", "load_study", "study_from_flags"]


def load_study(path: Path, tr_s: Fraction | None = None, exclude: Collection[str] = ()) -> Study:
    """Read a study.toml (or the one in a folder); its paths are relative to its own folder.

    `tr_s` overrules every other TR. `exclude` names subjects, or `SUBJECT/RUN`, that are left out unread.

    Raises
    ------
    ConfigError
        If a key is unknown, a name is used twice or not at all, or a block of the split is not within its run.
    DataError
        If a file is missing or a scan is not what it was said to be.
    """
    check_tr(tr_s)
    path = path / "study.toml" if path.is_dir() else path
    entries = read_study_file(path)
    folder = path.absolute().parent
    refuse_twice([s.name for s in entries.stimulus], f"{path}: stimulus")
    refuse_twice([f"{s.subject} {s.run}" for s in entries.scan], f"{path}: scan")
    stimuli = tuple(make_stimulus(e, folder) for e in entries.stimulus)
    wanted = without(entries.scan, exclude)
    legal = [s.name for s in stimuli]
    for e in wanted:
        if e.stimulus not in legal:
            raise ConfigError(
                f"{path}: {e.subject} {e.run} has no stimulus {e.stimulus!r}; {did_you_mean(e.stimulus, legal)}"
            )
    refuse_twice([str(folder / e.bold.expanduser()) for e in wanted], f"{path}: bold")
    study_tr = None if entries.study.tr_s is None else seconds(entries.study.tr_s)
    scans, notes = make_scans(wanted, folder, tr_s, study_tr)
    _check_split(entries.split, scans, path)
    extra = {k: getattr(entries.study, k) for k in ("atlas", "labels", "truth")}
    extra = {k: None if v is None else there(folder, v, k) for k, v in extra.items()}
    split = {run: tuple(blocks) for run, blocks in entries.split.items()}
    return Study(entries.study.name, folder, stimuli, scans, split, **extra, notes=notes, given_tr_s=tr_s or study_tr)


def _check_split(split: Mapping[str, Sequence[Segment]], scans: Sequence[Scan], path: Path) -> None:
    """Blocks of a run must be within it and not overlap."""
    longest: dict[str, int] = {}
    for s in scans:
        longest[s.run] = max(longest.get(s.run, 0), s.n_volumes)
    for run, blocks in split.items():
        if scans and run not in longest:
            raise ConfigError(f"{path}: [split] has no run {run!r}; {did_you_mean(run, list(longest))}")
        at = 0
        for label, start, stop in sorted(blocks, key=lambda b: b[1]):
            if not at <= start < stop:
                raise ConfigError(
                    f"{path}: [split] {run}: {label} {start} to {stop} is empty or overlaps another block"
                )
            if stop > longest.get(run, stop):
                raise ConfigError(f"{path}: [split] {run}: {label} ends at TR {stop}, but the run has {longest[run]}")
            at = stop
