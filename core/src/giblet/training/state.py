"""Where the training of a stage stands: all that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from giblet.training import checkpoint
from giblet.training.averaging import Average, copied

POSITION = ("scales", "norms", "step", "judged", "loss", "best", "best_step", "stale")
MODEL, BEST, AVERAGE, OPTIMIZER = "model", "best", "average", "optimizer"


@dataclass
class State:
    """The engine, the best weights so far with their score and step, and how many validations were no better since.

    `judged` is the step behind which weights were validated last, `loss` the sum over the steps since then, and `norms`
    the lengths of the gradients of the last step, if it measured them.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    average: Average
    best_weights: dict[str, Any]
    scales: dict[str, float] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    step: int = 0
    judged: int = 0
    loss: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stale: int = 0

    @classmethod
    def begin(
        cls, module: nn.Module, groups: list[dict[str, Any]], lr: float, rate: Callable[[int], float], average: float
    ) -> State:
        """AdamW at the beginning of its schedule; `rate` is the share of `lr` at a step."""
        optimizer = torch.optim.AdamW(groups, lr=lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return cls(module, optimizer, scheduler, Average(module, average), copied(module))

    @property
    def parameters(self) -> list[Tensor]:
        """All that is trained, in the optimiser's order."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def restore(self, folder: Path) -> None:
        """Go on from the last checkpoint, where there is one.

        Raises
        ------
        DataError
            If it is damaged.
        """
        if (path := checkpoint.newest(folder)) is None:
            return
        tensors, position = checkpoint.load(path, self._like())
        self.module.load_state_dict(_under(MODEL, tensors))
        self.best_weights, self.average.weights = _under(BEST, tensors), _under(AVERAGE, tensors)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(OPTIMIZER, tensors).items():
            place, _, name = key.partition("/")
            moments.setdefault(int(place), {})[name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self.scheduler.load_state_dict(position.pop("scheduler"))
        for group, values in zip(self.optimizer.param_groups, position.pop("groups"), strict=True):
            group.update(values)
        for name in POSITION:
            setattr(self, name, position[name])

    def _like(self) -> checkpoint.Like:
        """Where tensors of a checkpoint are read to: each as the weight is that it belongs to, if it has its size."""
        weights, trained = self.module.state_dict(), self.parameters

        def like(key: str, size: torch.Size, dtype: torch.dtype) -> Tensor:
            kind, _, name = key.partition("/")
            weight = trained[int(name.partition("/")[0])] if kind == OPTIMIZER else weights[name]
            return torch.empty_like(weight) if weight.size() == size else torch.empty(size, dtype=dtype)

        return like

    def save(self, folder: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        tables = {MODEL: self.module.state_dict(), BEST: self.best_weights, AVERAGE: self.average.weights}
        tensors = {f"{kind}/{name}": value for kind, table in tables.items() for name, value in table.items()}
        for place, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"{OPTIMIZER}/{place}/{name}": value for name, value in moments.items()}
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        position = {name: getattr(self, name) for name in POSITION}
        engine = {"groups": groups, "scheduler": self.scheduler.state_dict()}
        checkpoint.save(folder, self.step, tensors, position | engine)

    def judge(self, score: float) -> None:
        """Keep the weights as they are now if they score lower than any before."""
        self.judged = self.step
        self.stale = 0 if score < self.best else self.stale + 1
        if score < self.best:
            self.best_weights = {}  # two copies at once would be the most that a stage holds
            self.best, self.best_step, self.best_weights = score, self.step, copied(self.module)


def _under(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a checkpoint holds of one kind, by name."""
    return {k.removeprefix(f"{kind}/"): v for k, v in tensors.items() if k.startswith(f"{kind}/")}
