"""The folder that `predict`, `decode` and `lesion` write into: whole or not at all, and over nobody else's files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from giblet.errors import ConfigError, GibletError

UNFINISHED = ".unfinished"
"""Where results lie until all are there."""


def require_own(out: Path, marker: str) -> None:
    """Refuse a folder that holds something else than earlier results (`marker` says so); nothing is made.

    Raises
    ------
    ConfigError
        If it does.
    """
    held = {p.name for p in out.iterdir()} - {UNFINISHED} if out.is_dir() else set()
    if (held and marker not in held) or (out.exists() and not out.is_dir()):
        raise ConfigError(f"{out} is not empty and holds no {marker}; give another folder (--out)")


@contextmanager
def results_folder(out: Path, marker: str) -> Iterator[Path]:
    """A folder to write results into, which become those of `out` when all are there, in the place of earlier ones.

    Raises
    ------
    ConfigError
        As `require_own`.
    GibletError
        If it cannot be written.
    """
    require_own(out, marker)
    work, is_new = out / UNFINISHED, not out.exists()
    try:
        shutil.rmtree(work, ignore_errors=True)  # of a command that was killed
        work.mkdir(parents=True)
    except OSError as error:
        raise GibletError(f"cannot write to {out}: {error.strerror}; give another folder (--out)") from None
    try:
        yield work
        _move(work, out, marker)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it is not empty
                out.rmdir()


def _move(work: Path, out: Path, marker: str) -> None:
    """Everything to its place, the marker last."""
    for made in sorted(work.iterdir(), key=lambda path: path.name == marker):
        earlier = out / made.name
        if earlier.is_dir():
            shutil.rmtree(earlier)
        made.replace(earlier)
