"""What the folder of features holds: from what, how large, when last used; and making room in it."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from giblet.data.feature_files import SIDECAR
from giblet.errors import GibletError

DAY_S = 86_400.0
OURS = re.compile(r"[0-9a-f]{32}|\.[0-9a-f]{32}-[0-9a-f]{32}")
"""How the store names features, and what it has not finished; anything else in the folder is not giblet's to delete."""
ABANDONED = "unfinished"
"""The label of what a killed run left behind."""


@dataclass(frozen=True, slots=True)
class Cached:
    """One stream of features on disk; `used_s` is when it was last read or written, in seconds of the system's clock.

    What is not `whole` belongs to a run that is writing it, or that was killed.
    """

    folder: Path
    label: str
    n_bytes: int
    used_s: float
    whole: bool

    @property
    def days(self) -> float:
        """Days since the last use."""
        return max(0.0, time.time() - self.used_s) / DAY_S


def list_cached(features: Path) -> list[Cached]:
    """Everything in a folder of features, the longest unused first."""
    if not features.is_dir():
        return []
    found = [_look(folder) for folder in features.iterdir() if OURS.fullmatch(folder.name) and folder.is_dir()]
    return sorted((c for c in found if c), key=lambda c: c.used_s)


def _look(folder: Path) -> Cached | None:
    """One entry; None where another process took it away meanwhile."""
    sidecar = folder / SIDECAR
    try:
        stats = [file.stat() for file in folder.rglob("*")]
        whole = sidecar.is_file() and not folder.name.startswith(".")
        used_s = sidecar.stat().st_mtime if whole else max([folder.stat().st_mtime, *(s.st_mtime for s in stats)])
        return Cached(folder, _label(sidecar) if whole else ABANDONED, sum(s.st_size for s in stats), used_s, whole)
    except FileNotFoundError:
        return None


def _label(sidecar: Path) -> str:
    try:
        return str(json.loads(sidecar.read_text(encoding="utf-8"))["label"])
    except (ValueError, KeyError, TypeError):
        return "damaged"


def to_prune(found: Sequence[Cached], older_days: float | None = None, keep_bytes: float | None = None) -> list[Cached]:
    """What to delete of `list_cached`: unused for `older_days`, then the longest unused until `keep_bytes` are left.

    What a killed run left behind goes in any case, once nobody has written to it for a day.
    """
    chosen = [
        c for c in found if c.days >= (1.0 if not c.whole else float("inf") if older_days is None else older_days)
    ]
    rest = [c for c in found if c.whole and c not in chosen]
    over = sum(c.n_bytes for c in rest) - (float("inf") if keep_bytes is None else keep_bytes)
    for c in rest:
        if over <= 0:
            break
        chosen.append(c)
        over -= c.n_bytes
    return chosen


def prune(entries: Iterable[Cached]) -> int:
    """Delete entries, each out of sight first, so that no reader meets half of one; how many bytes became free.

    Raises
    ------
    GibletError
        If the folder cannot be changed.
    """
    freed = 0
    for c in entries:
        hidden = c.folder.with_name(f".{c.folder.name}-{uuid.uuid4().hex}")
        try:
            with suppress(FileNotFoundError):  # another process was faster
                c.folder.rename(hidden)
                shutil.rmtree(hidden)
                freed += c.n_bytes
        except OSError as error:
            raise GibletError(f"cannot delete {c.folder}: {error.strerror}; is the folder read-only?") from None
    return freed
