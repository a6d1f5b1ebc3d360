"""A share of a training step: what one process computes of it, or one of several passes through the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from giblet.nn.dropout import rows_of_batch


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a batch of `whole` a share computes, and their weight: 0 where they are computed for nothing."""

    mine: list[int]
    whole: int
    weight: float

    @property
    def all(self) -> bool:
        """Whether no other share computes anything of the batch."""
        return self.weight > 0 and len(self.mine) == self.whole

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Within this block, these rows of the batch pass through the network."""
        if self.all:
            yield
            return
        with rows_of_batch(self.mine, self.whole):
            yield


@dataclass(frozen=True, slots=True)
class Share:
    """Share `index` of `count`. The losses of all shares of a step add up to the loss of the step."""

    index: int = 0
    count: int = 1

    def of(self, n: int) -> list[int]:
        """Which of n things fall to it; none where there are fewer things than shares."""
        return list(range(self.index, n, self.count))

    def rows(self, n: int) -> Rows:
        """Which of the n rows of a batch it computes.

        A share without any computes the first one for nothing: all processes must walk the same way through the
        network, or they would wait for each other's gradients for ever.
        """
        mine = self.of(n)
        return Rows(mine, n, 1.0) if mine else Rows([0], n, 0.0)


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
