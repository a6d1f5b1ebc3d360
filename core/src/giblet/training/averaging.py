"""Weights averaged over the steps of training: what is validated and kept, if asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Average:
    """Exponential moving average of a module's weights.

    After step n the average a becomes `d a + (1 - d) w` with d = min(decay, n / (n + 9)), so that the random weights of
    the start are soon forgotten (Polyak and Juditsky 1992, doi:10.1137/0330046; the ramp is that of TensorFlow's
    ExponentialMovingAverage). A decay of 0 keeps nothing: the average is the weights themselves.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights: dict[str, Any] = copied(module) if decay else {}

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps; counters and other whole numbers are copied."""
        d = min(self.decay, step / (step + 9))
        with torch.no_grad():
            for name, now in self.module.state_dict().items() if self.decay else ():
                mean = self.weights[name]
                mean.lerp_(now, 1 - d) if mean.is_floating_point() else mean.copy_(now)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average in the module's place, for as long as the context lasts."""
        if not self.decay:
            yield
            return
        now = copied(self.module)
        self.module.load_state_dict(self.weights)
        yield
        self.module.load_state_dict(now)


def copied(module: nn.Module) -> dict[str, Any]:
    """A module's weights, which further training leaves alone."""
    return {k: v.detach().clone() for k, v in module.state_dict().items()}
