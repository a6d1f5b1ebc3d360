"""Work spread over processes, by joblib on this machine or by dask on a cluster; a lost one costs no finished work."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from giblet.data.store import features_folder
from giblet.data.work import Do, Failure, Place, Results, Work, Works, attempt, attempt_in_worker
from giblet.errors import GibletError
from giblet.folders import cache_folder
from giblet.media.threads import most_threads
from giblet.pipeline.cluster import on_cluster

ALONE_AFTER = 2
"""Lost processes that a piece of work may have been in before it must show, alone in one, that it is not to blame."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """Who does the work: `jobs` processes here (1: this one), or the workers of a dask `scheduler`."""

    jobs: int = 1
    scheduler: str | None = None

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Where the work lies, with a folder for what is not finished; whatever happens, that is gone afterwards."""
        features = features_folder().absolute()
        scratch = features / f".{uuid.uuid4().hex}-{uuid.uuid4().hex}"  # a name that `giblet cache prune` knows
        with suppress(OSError):  # what is in the cache can still be read; what is not fails by itself, saying why
            scratch.mkdir(parents=True)
        try:
            yield self._place(cache_folder().absolute(), scratch if scratch.is_dir() else None)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _place(self, cache: Path, scratch: Path | None) -> Place:
        from joblib import cpu_count

        if self.scheduler is not None:
            return Place(cache, scratch, 1, None)
        return Place(cache, scratch, most_threads() or max(1, cpu_count() // self.jobs), os.getpid())

    def do(self, do: Do, works: Sequence[Work], place: Place, say: Say) -> Results:
        """The number and the result of each piece of work, as they come.

        Raises
        ------
        GibletError
            If something is wrong that is no single piece's fault: the disk is full, the scheduler is not there.
        """
        numbered = dict(enumerate(works))
        if not works:
            return
        if self.scheduler is not None:
            found = on_cluster(do, numbered, place, self.scheduler)
        elif self.jobs == 1:
            found = (attempt(do, number, work, place) for number, work in numbered.items())
        else:
            found = _in_processes(do, numbered, place, self.jobs, say)
        with closing(found):
            for number, result in found:
                if isinstance(result, Failure) and result.ours:
                    raise GibletError(result.error)
                yield number, result


def _in_processes(do: Do, works: Works, place: Place, jobs: int, say: Say) -> Results:
    """In processes of this machine; when one dies, what was not finished is done again, and who killed it is found."""
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    get_reusable_executor().shutdown()  # processes of earlier work have the environment of that time
    left, lost, said = dict(works), Counter[int](), False
    while left:
        suspect = next((n for n in left if lost[n] >= ALONE_AFTER), None)
        batch = left if suspect is None else {suspect: left[suspect]}
        try:
            for number, result in _pool(do, dict(batch), place, jobs):  # as many each time: the processes are kept
                del left[number]
                yield number, result
        except TerminatedWorkerError:
            begun = _begun(left, place)
            lost.update(begun)
            if suspect is not None and suspect in left:
                del left[suspect]
                yield suspect, Failure(f"killed its process {lost[suspect]} times; is there enough memory?", 1, False)
            elif not said:
                said = True
                say(f"a process was killed; going on with the {len(left)} that are not finished")


def _begun(left: Works, place: Place) -> list[int]:
    """Which of the unfinished were begun: each leaves a file, taken away here."""
    if place.scratch is None:
        return list(left)
    marks = {number: place.scratch / str(number) for number in left}
    found = [number for number, mark in marks.items() if mark.exists()]
    for number in found:
        marks[number].unlink()
    return found


def _pool(do: Do, works: Works, place: Place, jobs: int) -> Results:
    from joblib import Parallel, delayed

    pool = Parallel(jobs, "loky", "generator_unordered", batch_size=1)
    results: Any = pool(delayed(attempt_in_worker)(do, number, work, place) for number, work in works.items())
    with warnings.catch_warnings():
        # That a generator is left early, and that a worker was replaced because its memory had grown.
        warnings.filterwarnings("ignore", module="joblib")
        with closing(results):
            yield from results
