"""The training loop. Every random draw is a function of seed, stage and step, so that resuming is exact."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from giblet.errors import GibletError
from giblet.training import checkpoint
from giblet.types import Progress

Log = Callable[[dict[str, Any]], None]
WARM_UP = 0.05
SAVE_EVERY_S = 20.0


class Task(Protocol):
    """What the loop needs to know of a stage."""

    name: str

    @property
    def module(self) -> nn.Module:
        """What is trained and saved."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters to train, grouped by weight decay."""

    def loss(self, step: int) -> Tensor:
        """The training loss of one step."""

    def validate(self) -> float:
        """The score on validation blocks, lower is better."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How one stage is trained."""

    steps: int
    lr: float
    clip: float
    patience: int
    validate_every: int
    seed: int


def seed_step(seed: int, name: str, step: int) -> None:
    """Make everything that a step draws depend on seed, stage and step alone."""
    torch.manual_seed(zlib.crc32(f"{seed}/{name}/{step}".encode()))


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(task: Task, schedule: Schedule, path: Path, log: Log, progress: Progress) -> float:
    """Train a stage, or go on with it; leaves the weights with the best validation score in the module.

    Returns the best validation score.

    Raises
    ------
    GibletError
        If training diverges, or a checkpoint cannot be written.
    """
    optimizer = torch.optim.AdamW(task.parameter_groups(), lr=schedule.lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(s, schedule.steps))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    step, best, best_weights, stale = 0, math.inf, task.module.state_dict(), 0
    if (state := checkpoint.load(path)) is not None:
        task.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        step, best, best_weights, stale = state["step"], state["best"], state["best_weights"], state["stale"]
    saved, started, total = time.monotonic(), time.monotonic(), 0.0
    while step < schedule.steps and stale < schedule.patience:
        seed_step(schedule.seed, task.name, step)
        task.module.train()
        loss = task.loss(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
        optimizer.step()
        scheduler.step()
        step += 1
        total += float(loss.detach())
        progress(task.name, step, schedule.steps)
        if step % schedule.validate_every and step != schedule.steps:
            continue
        task.module.eval()
        with torch.no_grad():
            score = task.validate()
        if not math.isfinite(score):
            raise GibletError(f"{task.name}: the validation loss is {score} at step {step}; lower -o train.lr")
        stale = 0 if score < best else stale + 1
        if score < best:
            best, best_weights = score, {k: v.clone() for k, v in task.module.state_dict().items()}
        seconds = round(time.monotonic() - started, 2)
        mean = total / ((step - 1) % schedule.validate_every + 1)
        log({"stage": task.name, "step": step, "train": mean, "validation": score, "seconds": seconds})
        total = 0.0
        if time.monotonic() - saved > SAVE_EVERY_S or step == schedule.steps or stale >= schedule.patience:
            weights = {"model": task.module.state_dict(), "best_weights": best_weights}
            engine = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
            checkpoint.save(path, {**weights, **engine, "step": step, "best": best, "stale": stale})
            saved = time.monotonic()
    task.module.load_state_dict(best_weights)
    task.module.eval()
    return best
