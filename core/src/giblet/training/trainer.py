"""The training loop. Every random draw is a function of seed, stage and step, so that resuming is exact."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.errors import GibletError
from giblet.training.balance import BALANCE_EVERY, Losses, equalised
from giblet.training.state import State
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
    rate = partial(learning_rate, steps=schedule.steps)
    state = State.begin(task.module, task.parameter_groups(), schedule.lr, rate, schedule.average)
    state.restore(path)
    last = schedule.steps if schedule.until is None else schedule.until
    saved, started, total = time.monotonic(), time.monotonic(), 0.0
    progress(task.name, state.step, last)
    while state.step < last and state.stale < schedule.patience:
        seed_step(schedule.seed, task.name, state.step)
        task.module.train()
        losses = as_losses(task.loss(state.step), task.name, state.parameters)
        validates = (state.step + 1) % schedule.validate_every == 0 or state.step + 1 == last
        measures = schedule.balance and state.step % BALANCE_EVERY == 0
        norms = losses.norms() if validates or measures else {}
        state.scales = equalised(norms) if measures else state.scales
        loss = losses.total(state.scales)
        state.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.parameters, schedule.clip)
        state.optimizer.step()
        state.scheduler.step()
        state.step += 1
        state.average.update(state.step)
        total += float(loss.detach())
        progress(task.name, state.step, last)
        if not validates:
            continue
        score, parts = judged(task, state, held_out=schedule.until is None)
        mean, total = total / ((state.step - 1) % schedule.validate_every + 1), 0.0
        row = {"stage": task.name, "step": state.step, "train": mean, "validation": score}
        row |= {"seconds": round(time.monotonic() - started, 2)}
        log(row | {"gradients": norms, "scales": state.scales, "parts": parts})
        if time.monotonic() - saved > SAVE_EVERY_S or state.step == last or state.stale >= schedule.patience:
            state.save(path)
            saved = time.monotonic()
    progress(task.name, last, last)
    task.module.load_state_dict(state.best_weights)
    task.module.eval()
    return Fitted(state.best, state.best_step)


def judged(task: Task, state: State, *, held_out: bool) -> tuple[float | None, dict[str, float]]:
    """Validate the (averaged) weights and keep the best; with nothing held out the last are the best, and no score."""
    with state.average.in_place():
        if not held_out:
            state.judge(-float(state.step))
            return None, {}
        score, parts = validated(task)
        if not math.isfinite(score):
            raise GibletError(f"{task.name}: the validation loss is {score} at step {state.step}; lower -o train.lr")
        state.judge(score)
    return score, parts


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
