"""The training loop. Every random draw is a function of seed, stage and step, so that resuming is exact."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.errors import GibletError
from giblet.training import checkpoint
from giblet.training.averaging import Average, copied
from giblet.training.balance import BALANCE_EVERY, Losses, equalised
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

    def loss(self, step: int) -> Tensor | Losses:
        """The training loss of one step, or several by name."""

    def validate(self) -> float | Mapping[str, float]:
        """The score on validation blocks, lower is better; several by name count as their mean."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How one stage is trained."""

    steps: int
    lr: float
    clip: float
    patience: int
    validate_every: int
    seed: int
    average: float = 0.0
    balance: bool = False
    until: int | None = None
    """Stop after this many steps and keep what is there: nothing is held out to judge by."""

    @classmethod
    def of(cls, config: RunConfig, steps: int, lr: float) -> Schedule:
        """The schedule of a stage of a run."""
        t = config.train
        balance = t.balance == "gradnorm"
        return cls(steps, lr, t.clip, t.patience, t.validate_every, config.seed, t.average, balance)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best validation score, and the step that reached it."""

    score: float
    step: int


def seed_step(seed: int, name: str, step: int) -> None:
    """Make everything that a step draws depend on seed, stage and step alone."""
    torch.manual_seed(zlib.crc32(f"{seed}/{name}/{step}".encode()))


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(task: Task, schedule: Schedule, path: Path, log: Log, progress: Progress) -> Fitted:
    """Train a stage, or go on with it; leaves the weights with the best validation score in the module.

    Returns the best validation score and its step.

    Raises
    ------
    GibletError
        If training diverges, or a checkpoint cannot be written.
    """
    optimizer = torch.optim.AdamW(task.parameter_groups(), lr=schedule.lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: learning_rate(s, schedule.steps))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    average, scales = Average(task.module, schedule.average), dict[str, float]()
    step, best, best_step, best_weights, stale = 0, math.inf, 0, task.module.state_dict(), 0
    if (state := checkpoint.load(path)) is not None:
        task.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        average.weights, scales = state["average"], state["scales"]
        step, best, best_weights, stale = state["step"], state["best"], state["best_weights"], state["stale"]
        best_step = state["best_step"]
    saved, started, total = time.monotonic(), time.monotonic(), 0.0
    last = schedule.steps if schedule.until is None else schedule.until
    while step < last and stale < schedule.patience:
        seed_step(schedule.seed, task.name, step)
        task.module.train()
        losses = as_losses(task.loss(step), task.name, parameters)
        validates = (step + 1) % schedule.validate_every == 0 or step + 1 == last
        measures = schedule.balance and step % BALANCE_EVERY == 0
        norms = losses.norms() if validates or measures else {}
        scales = equalised(norms) if measures else scales
        loss = losses.total(scales)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, schedule.clip)
        optimizer.step()
        scheduler.step()
        step += 1
        average.update(step)
        total += float(loss.detach())
        progress(task.name, step, last)
        if not validates:
            continue
        with average.in_place():
            score, parts = validated(task) if schedule.until is None else (-float(step), {})  # the last is the best
            if not math.isfinite(score):
                raise GibletError(f"{task.name}: the validation loss is {score} at step {step}; lower -o train.lr")
            stale = 0 if score < best else stale + 1
            if score < best:
                best, best_step, best_weights = score, step, copied(task.module)
        seconds = round(time.monotonic() - started, 2)
        mean = total / ((step - 1) % schedule.validate_every + 1)
        row = {"stage": task.name, "step": step, "train": mean, "validation": score, "seconds": seconds}
        log(row | {"gradients": norms, "scales": scales, "parts": parts})
        total = 0.0
        if time.monotonic() - saved > SAVE_EVERY_S or step == last or stale >= schedule.patience:
            weights = {"model": task.module.state_dict(), "best_weights": best_weights, "average": average.weights}
            engine = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "scales": scales}
            position = {"step": step, "best": best, "best_step": best_step, "stale": stale}
            checkpoint.save(path, {**weights, **engine, **position})
            saved = time.monotonic()
    task.module.load_state_dict(best_weights)
    task.module.eval()
    return Fitted(best, best_step)


def as_losses(loss: Tensor | Losses, name: str, parameters: Sequence[Tensor]) -> Losses:
    """One loss is the only one of its stage, on all that the stage trains."""
    return loss if isinstance(loss, Losses) else Losses({name: loss}, parameters)


def validated(task: Task) -> tuple[float, dict[str, float]]:
    """The validation score of a stage, and its parts if it has any."""
    task.module.eval()
    with torch.no_grad():
        score = task.validate()
    if isinstance(score, Mapping):
        return sum(score.values()) / len(score), dict(score)
    return score, {}
