"""The training loop. Every random draw is a function of seed, stage and step, so that resuming is exact."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from giblet.errors import GibletError
from giblet.training.balance import BALANCE_EVERY, equalised
from giblet.training.engine import Engine, engine_of
from giblet.training.sharding import whole
from giblet.training.state import State
from giblet.training.stopping import Stopped, listening
from giblet.training.task import Schedule, Task
from giblet.types import Progress

Log = Callable[[dict[str, Any]], None]
WARM_UP = 0.05
RATES = {"trunk": "train.trunk_lr", "decoders": "train.decoder_lr"}
"""The setting that a stage's learning rate is, by the first word of its name; all others learn by `train.lr`."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best validation score, and the step that reached it."""

    score: float
    step: int


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def fit(task: Task, schedule: Schedule, folder: Path, log: Log, progress: Progress) -> Fitted:
    """Train a stage, or go on with it; leaves the weights with the best validation score in the module, on the CPU.

    Under `torchrun` every rank calls it with the same task. Checkpoints go to `folder`. Returns the best validation
    score and its step.

    Raises
    ------
    GibletError
        If training diverges, or a checkpoint cannot be written or read.
    Stopped
        If a signal asked for it; a checkpoint is written before.
    """
    for network in task.networks:
        network.to(schedule.device)
    rate = partial(learning_rate, steps=schedule.steps)
    with engine_of(task, schedule) as engine:
        state = State.begin(task.module, task.parameter_groups(), schedule.lr, rate, schedule.average)
        state.restore(folder)
        with listening() as ear:
            _loop(engine, state, folder, log, progress, lambda: ear.heard)
        task.module.load_state_dict(state.best_weights)
        state.optimizer.zero_grad()  # gradients would stay in memory while other stages train
    for network in task.networks:
        network.to("cpu").eval()
    return Fitted(state.best, state.best_step)


def _loop(engine: Engine, state: State, folder: Path, log: Log, progress: Progress, heard: Callable[[], int]) -> None:
    """Step, validate and save until the stage is done.

    Told to stop, it saves behind the step. A validation that was due there is made, and saved, when the stage goes on.
    """
    task, schedule, last = engine.task, engine.schedule, engine.schedule.last
    saved = started = time.monotonic()
    task.module.train()
    progress(task.name, state.step, last)
    while _validates(schedule, state) or not _ended(schedule, state):
        told, due = 0.0, 1.0
        if _validates(schedule, state):  # due where the stage was told to stop
            if engine.ranks.totals(bool(heard()))[0]:
                raise _stopped(heard)
        else:
            part, state.norms = advance(engine, state, measure=_is_validated(schedule, state.step + 1))
            late = time.monotonic() - saved > schedule.save_every_s
            loss, told, due = engine.ranks.totals(part, bool(heard()), late)
            state.loss += loss
            progress(task.name, state.step, last)
        if not told and _validates(schedule, state):
            mean, state.loss = state.loss / ((state.step - 1) % schedule.validate_every + 1), 0.0
            score, parts = judged(engine, state)
            row = {"stage": task.name, "step": state.step, "most": schedule.steps, "train": mean, "validation": score}
            row |= {"seconds": round(time.monotonic() - started, 2)}
            log(row | {"gradients": state.norms, "scales": state.scales, "parts": parts})
        if told or due or _ended(schedule, state):
            state.save(folder)
            saved = time.monotonic()
        if told:
            raise _stopped(heard)
    if engine.ranks.totals(bool(heard()))[0]:  # while the last step was judged and saved
        raise _stopped(heard)
    progress(task.name, last, last)


def _stopped(heard: Callable[[], int]) -> Stopped:
    """On a rank that heard nothing itself, another one was told."""
    return Stopped(heard() or signal.SIGTERM)


def _ended(schedule: Schedule, state: State) -> bool:
    return state.step == schedule.last or state.stale >= schedule.patience


def _is_validated(schedule: Schedule, step: int) -> bool:
    return step > 0 and (step % schedule.validate_every == 0 or step == schedule.last)


def _validates(schedule: Schedule, state: State) -> bool:
    """Whether the validation behind the last step is still to come."""
    return _is_validated(schedule, state.step) and state.judged < state.step


def advance(engine: Engine, state: State, *, measure: bool) -> tuple[float, dict[str, float]]:
    """One step: this rank's part of its loss and, if measured, the length of each loss's gradient."""
    schedule, name = engine.schedule, engine.task.name
    balances = schedule.balance and state.step % BALANCE_EVERY == 0
    state.optimizer.zero_grad()
    part, norms = engine.backward(state.step, state.scales, measure=measure or balances)
    length = torch.nn.utils.clip_grad_norm_(state.parameters, schedule.clip)
    state.optimizer.step()
    state.scheduler.step()
    state.step += 1
    state.average.update(state.step)
    state.scales = equalised(norms) if balances else state.scales
    return part, norms or ({name: float(whole(length))} if measure else {})


def judged(engine: Engine, state: State) -> tuple[float | None, dict[str, float]]:
    """Validate the (averaged) weights and keep the best; with nothing held out the last are the best, and no score."""
    with state.average.in_place():
        if engine.schedule.until is not None:
            state.judge(-float(state.step))
            return None, {}
        score, parts = engine.validate()
        engine.task.module.train()
        if not math.isfinite(score):
            name = engine.task.name
            rate = RATES.get(name.partition(" ")[0], "train.lr")
            raise GibletError(f"{name}: the validation loss is {score} at step {state.step}; lower -o {rate}")
        state.judge(score)
    return score, parts
