"""Progress of work that no callback reaches: the run says who watches, a plugin tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from giblet.types import Progress, silent

__all__ = ["tell", "watched"]

_watcher: ContextVar[Progress] = ContextVar("watcher", default=silent)


@contextmanager
def watched(progress: Progress) -> Iterator[None]:
    """Within this block, `tell` reaches `progress`."""
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell(stage: str, done: int, total: int) -> None:
    """Say how far a stage is; nobody hears it where nobody watches."""
    _watcher.get()(stage, done, total)
