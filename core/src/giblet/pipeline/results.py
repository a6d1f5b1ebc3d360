"""The folder that `predict`, `decode` and `lesion` write into: whole or not at all, and over nobody else's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from giblet.errors import ConfigError, GibletError

UNFINISHED = ".unfinished"
"""Where results lie until all are there."""
WRITTEN = ".written.json"
"""Which files are results: only these go when there are new ones."""


def require_own(out: Path, marker: str) -> None:
    """Refuse a folder that holds something else than earlier results (`marker` says so) or cannot be written.

    It is left as it was.

    Raises
    ------
    ConfigError
        If it holds something else.
    GibletError
        If it cannot be written.
    """
    held = {p.name for p in out.iterdir()} - {UNFINISHED} if out.is_dir() else set()
    if (held and marker not in held) or (out.exists() and not out.is_dir()):
        what = f"is not empty and holds no {marker}" if out.is_dir() else "is a file"
        raise ConfigError(f"{out} {what}; give another folder (--out)")
    with _begun(out):
        pass


@contextmanager
def results_folder(out: Path, marker: str) -> Iterator[Path]:
    """A folder to write results into, which become those of `out` when all are there, in the place of earlier ones.

    Files that somebody else put beside earlier results stay.

    Raises
    ------
    ConfigError, GibletError
        As `require_own`.
    """
    require_own(out, marker)
    with _begun(out) as work:
        yield work
        _move(work, out, marker)


@contextmanager
def _begun(out: Path) -> Iterator[Path]:
    """The place for what is not finished; afterwards it is gone, and so are folders that it alone was in."""
    work = out / UNFINISHED
    new = [p for p in (out, *out.parents) if not p.exists()]
    try:
        try:
            shutil.rmtree(work, ignore_errors=True)  # of a command that was killed
            work.mkdir(parents=True)
        except OSError as error:
            raise GibletError(f"cannot write to {out}: {error.strerror}; give another folder (--out)") from None
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):  # what was made is there, or nothing was
            for folder in new:
                folder.rmdir()


def _move(work: Path, out: Path, marker: str) -> None:
    """Every file to its place, the marker last; results of before that are no more are taken away."""
    made = sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file())
    earlier = json.loads((out / WRITTEN).read_text(encoding="utf-8")) if (out / WRITTEN).is_file() else []
    (work / WRITTEN).write_text(json.dumps(made, indent=1, ensure_ascii=False), encoding="utf-8")
    for name in set(earlier) - set(made):
        (out / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            (out / name).parent.rmdir()
    for name in sorted([*made, WRITTEN], key=lambda name: (name == marker, name)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).replace(out / name)
