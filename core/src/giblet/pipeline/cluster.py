"""Work spread over the workers of a dask cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from giblet.data.work import Do, Failure, Place, Result, Results, Work, Works, attempt_in_worker
from giblet.errors import ConfigError, GibletError

CONNECT_S, WORKERS_S = 10, 60
"""How long a scheduler, and workers where there are none, are waited for."""
POLL_S, ANSWER_S = 0.1, 5
"""How often the scheduler is asked what is done, and how long for a result."""
KILLED = Failure("killed every worker that it was given; is there enough memory?", 1, ours=False)
"""What becomes of work that dask gave up."""


def on_cluster(do: Do, works: Works, place: Place, scheduler: str) -> Results:
    """By the workers of a dask cluster, which itself repeats what a lost worker was at.

    Raises
    ------
    ConfigError
        If dask is not installed, or a worker would do several pieces at once.
    GibletError
        If the scheduler or workers are not there.
    """
    with _client(scheduler) as client:
        lost: dict[int, Work] = {}
        for number, result in _on_workers(client, do, works, place):
            if result is KILLED:  # or only waited on a worker that something else killed
                lost[number] = works[number]
            else:
                yield number, result
        for number, work in lost.items():
            yield from _on_workers(client, do, {number: work}, place)


def _on_workers(client: Any, do: Do, works: Works, place: Place) -> Results:
    """Ask now and then: results that were announced can get lost with their worker, until dask has made them again."""
    left = {n: client.submit(attempt_in_worker, do, n, work, place, pure=False) for n, work in works.items()}
    while left:
        for number in [n for n, future in left.items() if future.done()]:
            with suppress(TimeoutError):
                yield _answer(number, left[number])
                del left[number]
        time.sleep(POLL_S)
        _require_workers(client)


def _require_workers(client: Any) -> None:
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError:
        raise GibletError(f"the scheduler at {address} has no workers; start `dask worker {address}`") from None


def _answer(number: int, future: Any) -> tuple[int, Result]:
    from distributed import KilledWorker

    try:
        found: tuple[int, Result] = future.result(timeout=ANSWER_S)
    except KilledWorker:
        return number, KILLED
    except TimeoutError:
        raise
    except Exception as error:  # what a worker cannot even unpickle
        return number, Failure(f"a worker cannot do it: {type(error).__name__}: {error}", 1, ours=True)
    return found


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("--backend dask needs the package distributed; pip install 'giblet[dask]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise GibletError(f"no dask scheduler answers at {scheduler} ({error}); start `dask scheduler`") from None
    with client:
        _require_workers(client)
        crowded = [address for address, threads in client.nthreads().items() if threads > 1]
        if crowded:
            raise ConfigError(
                f"the worker {crowded[0]} does several things at once; start it by `dask worker --nthreads 1`, with "
                "--nworkers for as many processes as it has processors"
            )
        yield client
