"""What a training step holds in memory and computes: every array is counted, and on the meta device none is filled."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from giblet.training.balance import Losses
from giblet.training.batch import each_array
from giblet.training.share import Share
from giblet.training.task import Task


class Living(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive while the block lasts: `now`, and the most there were, `peak`.

    It sees every tensor that an operation makes, in the backward pass and the optimiser too, and when it goes.
    """

    def __init__(self) -> None:
        untyped: Any = super()  # torch does not say its types
        untyped.__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let an operation happen and count what it made."""
        made = func(*args, **(kwargs or {}))
        self.hold(t for t in tree_leaves(made) if isinstance(t, Tensor))
        return made

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors; two that share their memory count once."""
        for storage in (t.untyped_storage() for t in tensors):
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known:
                self._known.add(key)
                weakref.finalize(storage, self._gone, key, size)
                self.now += size
                self.peak = max(self.peak, self.now)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@dataclass(frozen=True, slots=True)
class Footprint:
    """One step of a stage, in bytes: gradients, the optimiser's moments, and all that comes and goes at its peak.

    `parameters` are the numbers that are trained, `flops` multiplications and additions of a step, each counted as one.
    """

    parameters: int
    gradients: int
    optimizer: int
    passing: int
    flops: int


def footprint(task: Task, accumulate: int) -> Footprint:
    """Take a step of a stage, every parameter with its moments; networks on the meta device need no memory for it."""
    optimizer = torch.optim.AdamW(task.parameter_groups())
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    for p in trained:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    optimizer.zero_grad()
    moments = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, Tensor)]
    with Living() as living, FlopCounterMode(display=False) as flops:
        living.hold([*(t for net in task.networks for t in tensors_of(net)), *moments])
        standing = living.now
        for k in range(accumulate):
            _backward(task, Share(k, accumulate))
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    gradients = sum(p.grad.nbytes for p in trained if p.grad is not None)
    counted = sum(p.numel() for p in trained), gradients, sum(t.nbytes for t in moments)
    return Footprint(*counted, living.peak - standing - gradients, flops.get_total_flops())


def _backward(task: Task, share: Share) -> None:
    """As the engine does at a step that it measures: of several losses, each one's gradient by itself, then of all."""
    task.module.train()
    found = task.loss(task.read(0, share))
    if isinstance(found, Losses):
        if len(found.parts) > 1:
            found.gradients()
        found = found.total({})
    found.backward()


def bytes_read(task: Task, accumulate: int) -> int:
    """What the batch of a part of a step takes, before it is on a device."""
    sizes: list[int] = []
    each_array(task.read(0, Share(0, accumulate)), lambda array: sizes.append(array.nbytes))
    return sum(sizes)


def tensors_of(module: nn.Module) -> list[Tensor]:
    """A network's parameters and buffers."""
    return [*module.parameters(), *module.buffers()]


def bytes_of(modules: Iterable[nn.Module]) -> int:
    """What the parameters and buffers of networks take; what two of them share counts once."""
    known = {t.untyped_storage()._cdata: t.nbytes for m in modules for t in tensors_of(m)}
    return sum(known.values())
