"""How large the readers' chunks are: a share of the usual size, so that the conformance checks see many of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class ChunkSize:
    """The share of the usual size that holds now, in every thread, and how many readers asked for it."""

    share: float = 1.0
    asked: int = 0

    def of(self, usual: float) -> float:
        """The size to take where `usual` was asked for."""
        self.asked += 1
        return usual * self.share


SIZE = ChunkSize()


@contextmanager
def smaller_chunks(share: float) -> Iterator[ChunkSize]:
    """Within it, `read_sound` and `read_frames` give chunks of a share of their size."""
    SIZE.share, SIZE.asked = share, 0
    try:
        yield SIZE
    finally:
        SIZE.share = 1.0
