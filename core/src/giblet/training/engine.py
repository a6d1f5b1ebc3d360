"""A stage's networks as the processes share them: plain for one; for several under DDP, or sharded by FSDP2."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from giblet.model import pinned
from giblet.training.ahead import Ahead
from giblet.training.balance import Losses
from giblet.training.batch import each_array
from giblet.training.ranks import Ranks
from giblet.training.sharding import let_go, sharded
from giblet.training.share import Share, seed_draws
from giblet.training.task import Schedule, Task


class Step(nn.Module):
    """A stage as one module: DDP and FSDP2 know a model by its forward pass."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module, self.task = task.module, task
        self.found = Losses({}, [])

    def forward(self, batch: Any, validated: Share | None = None) -> Any:
        """The losses of a batch, by name; or a share's part of the score on validation blocks."""
        if validated is not None:
            return self.task.validate(validated)
        loss = self.task.loss(batch)
        self.found = loss if isinstance(loss, Losses) else Losses({self.task.name: loss}, [])
        return dict(self.found.parts)


@contextmanager
def engine_of(task: Task, schedule: Schedule) -> Iterator[Engine]:
    """A stage's engine; behind this block its weights are plain and whole on every rank."""
    ranks, step = Ranks.here(), Step(task)
    with ExitStack() as until:
        net: nn.Module = step
        if ranks.world > 1 and schedule.parallel == "fsdp":
            until.enter_context(sharded(step, task.units, schedule.device, ranks.world))
        elif ranks.world > 1:
            # Whoever is not among the people of a step has a head without a gradient: DDP must look for such.
            net = DistributedDataParallel(step, find_unused_parameters=True)
        engine = Engine(schedule, ranks, step, net)
        until.callback(engine.ahead.close)
        yield engine


class Engine:
    """Gradients and scores of a stage, the same on all ranks, each of which computes its shares of every step."""

    def __init__(self, schedule: Schedule, ranks: Ranks, step: Step, net: nn.Module) -> None:
        self.schedule, self.ranks, self.step, self.net, self.task = schedule, ranks, step, net, step.task
        share = partial(share_of, ranks, schedule.accumulate)
        read = partial(read_batch, self.task, share, pin=schedule.device == "cuda")
        self.ahead = Ahead(read, schedule.accumulate, schedule.last, schedule.readers, own_device(schedule.device))

    def backward(self, step: int, scales: Mapping[str, float], *, measure: bool) -> tuple[float, dict[str, float]]:
        """Gradients of a step, left in the parameters.

        Returns this rank's part of the loss and, where there are several losses and `measure` asks for it, the length
        of each one's gradient; sharded weights have no gradients of their own to measure.
        """
        total, gradients = 0.0, dict[str, Tensor]()
        for k in range(self.schedule.accumulate):
            with self._in_turn(last=k + 1 == self.schedule.accumulate):
                losses = self._losses(step, k)
                if measure and len(losses.parts) > 1 and not isinstance(self.net, FSDPModule):
                    for name, gradient in losses.gradients().items():
                        gradients[name] = gradient + gradients.get(name, 0)
                loss = losses.total(scales)
                (loss * self.ranks.world).backward()  # ranks' gradients are averaged, where the sum is meant
            total += float(loss.detach())
        return total, {name: float(self.ranks.summed(g).norm()) for name, g in gradients.items()}

    def _losses(self, step: int, part: int) -> Losses:
        """Part `part` of this rank's share of a step."""
        batch = self.ahead.take(step, part)
        seed_draws(step_seed(self.schedule.seed, self.task.name, step), torch.device(self.schedule.device))
        with torch.autocast(self.schedule.device, torch.bfloat16, enabled=self.schedule.bf16):
            found = self.net(batch)
        return replace(self.step.found, parts={name: loss.float() for name, loss in found.items()})

    def _in_turn(self, *, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, behind the last part."""
        if isinstance(self.net, FSDPModule):
            self.net.set_requires_gradient_sync(last)
        return nullcontext() if last or not isinstance(self.net, DistributedDataParallel) else self.net.no_sync()

    def validate(self) -> tuple[float, dict[str, float]]:
        """The validation score of the stage, and its parts if it has any."""
        self.task.module.eval()
        with torch.no_grad():
            score = self.step(None, validated=Share(self.ranks.rank, self.ranks.world))
        let_go(self.step)
        if not isinstance(score, Mapping):
            return self.ranks.totals(score)[0], {}
        parts = dict(zip(score, self.ranks.totals(*score.values()), strict=True))
        return sum(parts.values()) / len(parts), parts


def share_of(ranks: Ranks, parts: int, part: int) -> Share:
    """Part `part` of a rank's share of a step."""
    return Share(ranks.rank * parts + part, ranks.world * parts)


def read_batch(task: Task, share: Callable[[int], Share], step: int, part: int, *, pin: bool) -> Any:
    """What a part of a step is made of; in pinned memory where a GPU will read it."""
    batch = task.read(step, share(part))
    return each_array(batch, pinned) if pin else batch


def own_device(device: str) -> Callable[[], None]:
    """What a thread calls first to use the same GPU as the thread that asks here."""
    return partial(torch.cuda.set_device, torch.cuda.current_device()) if device == "cuda" else lambda: None


def step_seed(seed: int, name: str, step: int) -> int:
    """What everything that a step draws depends on: seed, stage and step."""
    return zlib.crc32(f"{seed}/{name}/{step}".encode())
