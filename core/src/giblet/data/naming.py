"""Who and which run a scan is of, read off its file name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from giblet.errors import ConfigError

ENTITY = re.compile(r"(?:^|_)([a-z]+)-([A-Za-z0-9+]+)(?=_)")
"""`key-value` in a name of BIDS, behind which something must follow."""
LOOSE_ENTITY = re.compile(r"(?:^|[_/])(sub|ses|task|run)-([A-Za-z0-9]+)")
"""The same in any name or path, as far as it says who and which run."""
LOOSE_RUN = re.compile(r"(?:^|[_/.\-])run[_\-]?(\d+)(?![A-Za-z0-9])")
"""`run` as a word with a number, in names that are not BIDS: s01_run2.npy."""
SEPARATOR = re.compile(r"[_/.\- ]+")
DOUBLE = (".nii.gz", ".func.gii", ".dtseries.nii", ".ptseries.nii")
"""Endings of two parts."""
LEFT, RIGHT = re.compile(r"([_/]hemi-)L(?=_)"), re.compile(r"[_/]hemi-R(?=_)")


@dataclass(frozen=True, slots=True)
class Named:
    """A file with the subject and the run in its name; `entities` are its BIDS entities, such as `task`."""

    path: Path
    subject: str
    run: str
    entities: dict[str, str]


def expand(patterns: Sequence[str], flag: str) -> list[Path]:
    """The files that paths and globs name, in order; sidecars (.json) among them are passed over.

    Raises
    ------
    ConfigError
        If a pattern matches nothing, or a file is named twice.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        # pathlib cannot expand a pattern that is an absolute path
        names = [] if path.exists() else glob.glob(str(path), recursive=True)  # noqa: PTH207
        matches = [path] if path.exists() else [Path(name) for name in sorted(names, key=natural)]
        if not matches:
            raise ConfigError(f"{flag} {pattern!r} matches no file; correct the path (globs go in quotes)")
        found += [m for m in matches if m.is_file() and m.suffix != ".json"]
    twice = sorted({str(p) for p in found if found.count(p) > 1})
    if twice:
        raise ConfigError(f"{flag} names {twice[0]} twice; name each file once")
    return found


def natural(text: str) -> tuple[list[int | str], str]:
    """A key to sort names by, digits as numbers: run-2 comes before run-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)], text


def stem(path: Path) -> str:
    """The file name without its suffix, .nii.gz and the like counting as one."""
    double = next((d for d in DOUBLE if path.name.endswith(d)), path.suffix)
    return path.name.removesuffix(double)


def paired(paths: Sequence[Path]) -> dict[Path, Path | None]:
    """Each scan's file, with that of its right hemisphere where `hemi-L` and `hemi-R` of one name are both given."""
    rights = {p for p in paths if RIGHT.search(p.name)}
    twins = {p: p.with_name(LEFT.sub(r"\g<1>R", p.name)) for p in paths if p not in rights}
    taken = rights & set(twins.values())
    return {p: twins[p] if twins.get(p) in taken else None for p in paths if p not in taken}


def entities_of(name: str) -> dict[str, str]:
    """The entities of a file of a BIDS data set, in the order of its name."""
    return dict(ENTITY.findall(name))


def loose_entities_of(name: str) -> dict[str, str]:
    """Person, session, task and run in any name, the last of each; a run is also found when it is written `run2`."""
    found = dict(LOOSE_ENTITY.findall(name))
    loose = LOOSE_RUN.findall(name)
    return found if "run" in found or not loose else {**found, "run": loose[-1]}


def identify(paths: Sequence[Path]) -> list[Named]:
    """Subject and run of each scan: by `sub-`, `ses-`, `task-` and `run-`, else by the part of the names that differs.

    Raises
    ------
    ConfigError
        If the names leave it open who is who, or two files are of one subject and run.
    """
    names = [_relative(p, paths) for p in paths]
    entities = [loose_entities_of(n) for n in names]
    subjects = [f"sub-{e['sub']}" for e in entities if "sub" in e]
    if len(subjects) < len(paths):
        subjects = _differing([LOOSE_RUN.sub("", LOOSE_ENTITY.sub("", n)) for n in names], paths)
    varying = [k for k in ("ses", "task", "run") if len({e.get(k) for e in entities}) > 1]
    named = [Named(p, s, run_of(e, varying), e) for p, s, e in zip(paths, subjects, entities, strict=True)]
    refuse_two_of_one(named, "name one scan a run")
    return named


def refuse_two_of_one(named: Sequence[Named], instead: str) -> None:
    """Refuse two files of one person and run; `instead` is a way out."""
    seen: dict[tuple[str, str], Path] = {}
    for n in named:
        if (n.subject, n.run) in seen:
            both = f"{seen[n.subject, n.run]} and {n.path} are both {n.subject} {n.run}"
            raise ConfigError(f"{both}; {instead}, or use a study.toml")
        seen[n.subject, n.run] = n.path


def _relative(path: Path, paths: Sequence[Path]) -> str:
    parent = os.path.commonpath([p.absolute().parent for p in paths])
    return (path.absolute().parent / stem(path)).relative_to(parent).as_posix()


def run_of(entities: Mapping[str, str], varying: Sequence[str]) -> str:
    """The name of a run: the entities in which runs differ."""
    parts = [f"{k}-{entities[k]}" for k in varying if k in entities]
    return "_".join(parts) or f"run-{entities.get('run', '1')}"


def _differing(names: list[str], paths: Sequence[Path]) -> list[str]:
    """The word that tells the names apart: s18-timecourses and s22-timecourses are s18 and s22."""
    words = [[w for w in SEPARATOR.split(n) if w] or ["subject"] for n in names]
    if len(set(map(tuple, words))) == 1:
        return ["-".join(w) for w in words]
    if len({len(w) for w in words}) > 1:
        return ["-".join(w) for w in words]
    columns = [c for c in zip(*words, strict=True) if len(set(c)) > 1]
    people = len(set(map(tuple, words)))
    telling = [c for c in columns if len(set(c)) == people]
    if not telling:
        raise ConfigError(
            f"the names of {paths[0].name} and {len(paths) - 1} others differ in several places: which part is the "
            "subject? name them sub-XX_run-YY, or list them in a study.toml"
        )
    return list(telling[0])
