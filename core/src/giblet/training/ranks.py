"""The processes that train one model together, as `torchrun` starts them; one process is one rank."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from giblet.errors import ConfigError, GibletError

PREPARING = timedelta(days=30)
"""How long the other ranks wait for what the first one prepares: hours of film may have to be read."""

Made = TypeVar("Made")
_calls = itertools.count()


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Those of the process group, or one alone."""
        together = dist.is_available() and dist.is_initialized()
        return cls(dist.get_rank(), dist.get_world_size()) if together else cls()

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all ranks, the same on each of them."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def totals(self, *values: float) -> list[float]:
        """Numbers summed over all ranks."""
        return [float(v) for v in self.summed(torch.tensor(values, dtype=torch.float64))]

    def agreed(self, value: Made) -> Made:
        """The first rank's value, on all of them."""
        box = [value]
        if self.world > 1:
            dist.broadcast_object_list(box)
        return box[0]

    def require_same(self, what: str, number: int) -> None:
        """Refuse to train together on different things.

        Raises
        ------
        GibletError
            If the number is not the same on all ranks.
        """
        if self.totals(number)[0] != self.world * number:
            raise GibletError(f"the processes have different {what}; start them on machines of one kind")

    def meet(self) -> None:
        """Wait for all."""
        if self.world > 1:
            dist.barrier()


def launched() -> bool:
    """Whether `torchrun` started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()


def is_first() -> bool:
    """Whether this process speaks for all: it writes, prints and prepares."""
    return not launched() or os.environ["RANK"] == "0"


def require_device(name: str) -> None:
    """Refuse a device that is not there, before anything is read.

    Raises
    ------
    ConfigError
        If it is a GPU, and torch finds none for this process.
    """
    wanted, found = int(os.environ.get("LOCAL_RANK", 0)) + 1, torch.cuda.device_count()
    if name == "cuda" and found < wanted:
        raise ConfigError(
            f"train.device=cuda needs {wanted} CUDA devices here, one a process, and torch finds {found}; start fewer "
            "processes, or leave it out to train on the CPU"
        )


@contextmanager
def together(prepare: Callable[[], Made], device: str) -> Iterator[Made]:
    """Prepare on the first rank, then on the others, which find what it wrote; within the block they train together.

    The process group begins after that, so that no rank runs into a collective's time limit while another reads films.
    """
    if not launched():
        yield prepare()
        return
    store, rank, world = next(rendezvous("env://"))
    # After a restart by torchrun, the addresses of the dead attempt are still in its store.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)
    store = PrefixStore(f"attempt-{attempt}-{next(_calls)}", store)
    if rank > 0:
        store.wait(["prepared"], PREPARING)
    made = prepare()
    if rank == 0:
        store.set("prepared", "yes")
    backend = "gloo"
    if device == "cuda":
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # what `cuda` means from here on
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield made
    finally:
        dist.destroy_process_group()
