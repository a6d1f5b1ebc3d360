"""Where the training of a stage stands: all that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from giblet.training import checkpoint
from giblet.training.averaging import Average, copied

POSITION = ("scales", "step", "best", "best_step", "stale")


@dataclass
class State:
    """The engine, the best weights so far with their score and step, and how many validations were no better since."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    average: Average
    best_weights: dict[str, Any]
    scales: dict[str, float] = field(default_factory=dict)
    step: int = 0
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
        """All that is trained."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, where there is one."""
        if (saved := checkpoint.load(path)) is None:
            return
        self.module.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.average.weights, self.best_weights = saved["average"], saved["best_weights"]
        for name in POSITION:
            setattr(self, name, saved[name])

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        weights = {
            "model": self.module.state_dict(),
            "best_weights": self.best_weights,
            "average": self.average.weights,
        }
        engine = {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}
        checkpoint.save(path, {**weights, **engine, **{name: getattr(self, name) for name in POSITION}})

    def judge(self, score: float) -> None:
        """Keep the weights as they are now if they score lower than any before."""
        self.stale = 0 if score < self.best else self.stale + 1
        if score < self.best:
            self.best, self.best_step, self.best_weights = score, self.step, copied(self.module)
