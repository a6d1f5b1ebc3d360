"""A share of a training step: what one process computes of it, or one of several passes through the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from giblet.nn.dropout import rows_of_batch
from giblet.types import Int


@dataclass(frozen=True, slots=True)
class Share:
    """Share `index` of `count`. The losses of all shares of a step add up to the loss of the step."""

    index: int = 0
    count: int = 1

    def of(self, n: int) -> Int:
        """Which of n things fall to it; none where there are fewer things than shares."""
        return np.arange(n)[self.index :: self.count]

    def rows(self, n: int) -> tuple[Int, float]:
        """Which of the n rows of a batch it computes, and their weight.

        A share without any computes the first one for nothing: all processes must walk the same way through the
        network, or they would wait for each other's gradients for ever.
        """
        mine = self.of(n)
        return (mine, 1.0) if len(mine) else (np.arange(1), 0.0)

    @contextmanager
    def holding(self, mine: Int, n: int) -> Iterator[None]:
        """Within this block, the rows `mine` of a batch of n pass through the network."""
        if self.count == 1:
            yield
            return
        with rows_of_batch(mine.tolist(), n):
            yield


WHOLE = Share()


def seed_draws(number: int, device: torch.device) -> None:
    """Let all that torch draws, here and on a device, follow from a number.

    `torch.manual_seed` also notes for GPUs that nobody uses what to do and who asked, which takes a millisecond and
    memory at every step.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)


@contextmanager
def own_draws(place: int, device: torch.device) -> Iterator[None]:
    """Within this block, what is drawn follows from the step's seed and `place` alone; behind it, nothing was drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        seed_draws(torch.default_generator.initial_seed() + place, device)
        yield
