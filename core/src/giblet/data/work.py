"""One piece of the work of `giblet extract`, as plain values, and how any process does it: with plugins of its own."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from giblet import stages
from giblet.data.feature_files import is_written
from giblet.data.store import features_folder, open_store
from giblet.errors import GibletError
from giblet.modality import Modality
from giblet.plugins import Registry
from giblet.types import Array, Source

WATCH_S = 1.0
"""How often a worker looks whether the command that started it still runs."""


@dataclass(frozen=True, slots=True)
class Work:
    """A modality, by name, version, settings and fitted arrays, and the sources that it is to learn from or extract."""

    plugin: str
    version: str
    settings: Mapping[str, Any]
    state: Mapping[str, Array]
    sources: tuple[Source, ...]

    def modality(self, registry: Registry) -> Modality:
        """The modality, built here.

        Raises
        ------
        GibletError
            If the plugin is another version here: its features would be kept under another name.
        """
        here = registry.modality(self.plugin, **self.settings)
        version = registry.plugins[self.plugin].version
        if version != self.version:
            raise GibletError(
                f"{platform.node()} has version {version} of {self.plugin}, this command {self.version}; install the "
                "same version on all machines"
            )
        return here.fitted(**self.state)


@dataclass(frozen=True, slots=True)
class Place:
    """Where processes keep what they make: the cache, and in it a folder for what is not finished.

    `threads` are those of each worker, `parent` is the process without which it ends; of those on other machines,
    which have no parent here, it is None.
    """

    cache: Path
    scratch: Path | None
    threads: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """Features that are kept now: how long it took, whether they were there before, and how much disk they take.

    `notes` is what was wrong with the file, or assumed of it, a line each.
    """

    seconds: float
    cached: bool
    n_bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result, in one line; `ours` says that the input is not to blame: others would fail like it."""

    error: str
    exit_code: int
    ours: bool


def fit(work: Work, place: Place) -> dict[str, Array]:
    """What a modality learns from its sources before it extracts any of them."""
    fitted = work.modality(_registry(features_folder(), place.scratch)).fit(work.sources, [[]] * len(work.sources))
    return dict(fitted.state)


def extract(work: Work, place: Place) -> Stored:
    """Put the features of one source where every run finds them."""
    registry = _registry(features_folder(), place.scratch)
    started, modality, (source,) = time.perf_counter(), work.modality(registry), work.sources
    store = open_store(registry)
    folder = store.folder / store.key(modality, source)
    cached = is_written(folder)
    notes = str(stages.extract(registry, modality, source).attrs.get("notes", "")).splitlines()
    n_bytes = sum(file.stat().st_size for file in folder.iterdir())
    return Stored(time.perf_counter() - started, cached, n_bytes, tuple(notes))


Result = dict[str, Array] | Stored | Failure
Results = Generator[tuple[int, Result], None, None]
"""The number and the result of each piece of work, in any order."""
Works = Mapping[int, Work]
Do = Callable[[Work, Place], Any]


def attempt(do: Do, number: int, work: Work, place: Place) -> tuple[int, Result]:
    """Do one piece of work; whatever goes wrong with it is its result."""
    if place.scratch is not None:
        with suppress(OSError):  # the disk is full: then the work says so itself
            (place.scratch / str(number)).touch()
    try:
        return number, do(work, place)
    except GibletError as error:
        return number, Failure(" ".join(str(error).split()), error.exit_code, error.exit_code == GibletError.exit_code)
    except Exception as error:  # a plugin may raise anything
        return number, Failure(f"unexpected {type(error).__name__}: {' '.join(str(error).split())}", 1, ours=False)


def attempt_in_worker(do: Do, number: int, work: Work, place: Place) -> tuple[int, Result]:
    """The same in a process that does nothing else, perhaps on another machine."""
    os.environ["GIBLET_CACHE"] = str(place.cache)
    if place.parent is not None:
        os.environ["GIBLET_THREADS"] = str(place.threads)
        _end_with(place.parent)
        return attempt(do, number, work, place)
    os.environ.setdefault("GIBLET_THREADS", str(place.threads))
    if not (place.scratch or place.cache).is_dir():
        where = f"{platform.node()} does not see {place.cache}; name a folder in GIBLET_CACHE that all machines share"
        return number, Failure(where, GibletError.exit_code, ours=True)
    return attempt(do, number, work, place)


@lru_cache(maxsize=1)
def _registry(features: Path, scratch: Path | None) -> Registry:
    """All plugins and what wraps their stages, with the store of this folder behind them; once a process."""
    registry = Registry.discover()
    registry.load_wrappers()
    open_store(registry, scratch)
    return registry


@lru_cache
def _end_with(parent: int) -> None:
    """End this process once its parent is gone, however that ended: nobody waits for its results any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
