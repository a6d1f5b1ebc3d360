"""One stage of a training: AdamW on a loss, the best weights by validation, a checkpoint to go on from."""

from __future__ import annotations

import copy
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from giblet.errors import ConfigError
from giblet.types import Progress
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet_text_bge.inversion.train.beginning import seeded
from giblet_text_bge.inversion.train.settings import Training

Rows = NDArray[np.int64]
Loss = Callable[[Rows, torch.Generator | None], Tensor]
"""Mean loss over the tokens of some rows; with a generator, as in training: with noise."""
VALIDATIONS = 20
SAVE_EVERY_S = 60.0
LARGEST_GRADIENT = 1.0


@dataclass
class Stage:
    """Where the training of one network stands."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    settings: Training
    path: Path
    step: int = 0
    best: float = float("inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def open(cls, module: nn.Module, settings: Training, path: Path) -> Stage:
        """At the beginning, or where the checkpoint at `path` is."""
        stage = cls(module, torch.optim.AdamW(module.parameters(), settings.lr), settings, path)
        if path.is_file():
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            module.load_state_dict(saved["weights"])
            stage.optimizer.load_state_dict(saved["optimizer"])
            stage.step, stage.best, stage.best_weights = saved["step"], saved["best"], saved["best_weights"]
        return stage

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        kept = {"step": self.step, "best": self.best, "best_weights": self.best_weights}
        engine = {"weights": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        tmp = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            torch.save({**kept, **engine}, tmp)
            tmp.replace(self.path)
        finally:
            tmp.unlink(missing_ok=True)

    def judge(self, score: float) -> None:
        """Keep the weights if they are the best so far."""
        if score < self.best:
            self.best, self.best_weights = score, copy.deepcopy(self.module.state_dict())


def train(stage: Stage, name: str, loss: Loss, rows: tuple[Rows, Rows], epochs: float, progress: Progress) -> None:
    """Train on the first rows to the end of the schedule, and leave the weights that did best on the second.

    Stopped by Ctrl-C or a termination signal, it saves where it is; called again, it goes on from there.

    Raises
    ------
    ConfigError
        If the weights went to infinity at once.
    """
    settings, (train_rows, validation_rows) = stage.settings, rows
    per_epoch = max(1, len(train_rows) // settings.batch_size)
    total = max(VALIDATIONS, round(epochs * per_epoch))
    saved_s = time.monotonic()
    with _signals() as stopped:
        while stage.step < total:
            _one_step(stage, loss, _batch(train_rows, stage.step, per_epoch, settings), total)
            if stage.step % (total // VALIDATIONS) == 0 or stage.step == total:
                stage.judge(_validation(stage.module, loss, validation_rows, settings.batch_size))
            progress(name, stage.step, total)
            if stopped or stage.step == total or time.monotonic() - saved_s > SAVE_EVERY_S:
                stage.save()
                saved_s = time.monotonic()
            if stopped:
                raise KeyboardInterrupt
    if not stage.best_weights:
        raise ConfigError(
            f"{name}: the loss was never a number; give a lower -o lr than {settings.lr:g}, and a new --out"
        )
    stage.module.load_state_dict(stage.best_weights)
    stage.module.eval()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals to stop that came, so that a step is finished before it is saved."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only there signals can be caught
        yield came
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, frame: came.append(number)) for kind in kinds]
    try:
        yield came
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _one_step(stage: Stage, loss: Loss, rows: Rows, total: int) -> None:
    """A step whose chance depends on the seed and the step alone, so that a training that goes on is the same."""
    settings = stage.settings
    stage.module.train()
    with seeded(settings.seed + stage.step):
        value = loss(rows, torch.Generator().manual_seed(settings.seed + stage.step))
    stage.optimizer.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(stage.module.parameters(), LARGEST_GRADIENT)
    for group in stage.optimizer.param_groups:
        group["lr"] = settings.lr * _rate((stage.step + 1) / total, settings.warmup)
    stage.optimizer.step()
    stage.step += 1


def _rate(done: float, warmup: float) -> float:
    return min(done / warmup if warmup else 1.0, (1 - done) / (1 - warmup))


def _batch(rows: Rows, step: int, per_epoch: int, settings: Training) -> Rows:
    """The rows of a step: each epoch goes through all rows in an order of its own."""
    epoch, i = divmod(step, per_epoch)
    order = np.random.default_rng((settings.seed, epoch)).permutation(rows)
    return order[i * settings.batch_size : (i + 1) * settings.batch_size]


@torch.no_grad()
def _validation(module: nn.Module, loss: Loss, rows: Rows, batch_size: int) -> float:
    module.eval()
    parts = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return sum(float(loss(part, None)) * len(part) for part in parts) / len(rows)
