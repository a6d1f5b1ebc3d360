"""Work done beforehand, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them made while the caller works on the one before.

    An error is raised where its item would have come. A caller that stops early waits for the items under way.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(_next, items) for _ in range(depth))
        while found := waiting.popleft().result():
            waiting.append(pool.submit(_next, items))
            yield found[0]


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None
