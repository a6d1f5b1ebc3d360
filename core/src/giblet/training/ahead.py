"""Batches of the next steps, read by other threads while this one computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Read = Callable[[int, int], Any]


class Ahead:
    """What a function of step and part reads, for steps from the first one asked for to the last, in order.

    Each step has as many parts. As many batches as there are threads, which call `begin` first, are read before they
    are asked for; without threads, each is read when it is asked for. What a batch holds depends on step and part
    alone, whoever reads it.
    """

    def __init__(
        self, read: Read, parts: int, last: int, threads: int, begin: Callable[[], None] = lambda: None
    ) -> None:
        self.read, self.parts, self.last = read, parts, last
        self.pool = ThreadPoolExecutor(threads, "giblet-read", begin) if threads else None
        self.threads, self.waiting = threads, deque[tuple[tuple[int, int], Future[Any]]]()

    def take(self, step: int, part: int) -> Any:
        """The batch of a part of a step."""
        if self.pool is None:
            return self.read(step, part)
        if not self.waiting:
            self._ask(self.pool, (step, part))
        asked, future = self.waiting.popleft()
        if asked != (step, part):
            raise ValueError(f"step {step}, part {part} was asked for out of turn, in the place of {asked}")
        newest = self.waiting[-1][0] if self.waiting else asked
        while len(self.waiting) < self.threads and (after := self._after(newest)):
            self._ask(self.pool, newest := after)
        return future.result()

    def close(self) -> None:
        """Drop what nobody will ask for, and wait for what is being read."""
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
        self.waiting.clear()

    def _ask(self, pool: ThreadPoolExecutor, place: tuple[int, int]) -> None:
        self.waiting.append((place, pool.submit(self.read, *place)))

    def _after(self, place: tuple[int, int]) -> tuple[int, int] | None:
        step, part = divmod(place[0] * self.parts + place[1] + 1, self.parts)
        return (step, part) if step < self.last else None
