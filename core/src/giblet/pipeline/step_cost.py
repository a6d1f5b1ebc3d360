"""What a training step of encoders and decoders costs: time beside a reference, parameters, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from giblet.config import RunConfig, TrainConfig
from giblet.model import ModalityNets
from giblet.pipeline.blueprint import blueprint_of
from giblet.pipeline.networks import build_nets
from giblet.pipeline.prepare import Inputs
from giblet.types import Progress, silent

NativeLoss = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[], None]
Clock = Callable[[], float]
Batch = tuple[Tensor, Tensor]
COPIES = 4
"""A weight, its gradient and AdamW's two moments."""


class Stepper:
    """One encoder and decoder with its optimiser and one batch: each call is a training step."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, loss: NativeLoss, batch: Batch) -> None:
        self.encoder, self.decoder, self.native, self.batch = encoder.train(), decoder.train(), loss, batch
        self.weights = [p for net in (encoder, decoder) for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, TrainConfig().lr)

    def loss(self) -> Tensor:
        """The modality's loss of the batch."""
        x, mask = self.batch
        return (self.native(self.decoder(self.encoder(x, mask)), x) * mask).mean()

    def __call__(self) -> None:
        """Forward, backward, clip, update."""
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, TrainConfig().clip)
        self.optimizer.step()

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.weights)

    def memory_bytes(self) -> int:
        """What a step holds at its peak: weights, gradients, moments, and what is kept for the backward pass."""
        known = {p.untyped_storage().data_ptr() for p in self.weights}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = self.loss()
        del loss
        return sum(kept.values()) + COPIES * sum(p.numel() * p.element_size() for p in self.weights)


def steppers_of(inputs: Inputs, config: RunConfig) -> list[Stepper]:
    """A stepper for each modality whose nets are trained by themselves, on the first TRs that have it."""
    trained = (n for n in build_nets(blueprint_of(inputs), config) if not n.frozen)
    return [Stepper(n.encoder, n.decoder, n.loss, _first(inputs, n, config.train.front_end_batch)) for n in trained]


def _first(inputs: Inputs, n: ModalityNets, rows: int) -> Batch:
    """The first TRs of a run that have a modality."""
    aligned = inputs.timelines[0].aligned[n.name]
    x, mask = aligned.rows(np.flatnonzero(aligned.valid)[:rows], n.spec.frames)
    return torch.from_numpy(x), torch.from_numpy(mask)


def interleaved(
    steps: Mapping[str, Sequence[Step]], repeats: int, clock: Clock = time.perf_counter, progress: Progress = silent
) -> dict[str, list[float]]:
    """Seconds that all steps of each entry took, repeat by repeat.

    Entries take turns, so that load hits all alike, there and back: what a step finds in the processor's caches depends
    on the one before it.

    `time.process_time` leaves out what other processes took, and is right on one thread and without a GPU.
    """
    progress("time a step", 0, repeats)
    for each in steps.values():
        for step in each:
            step()
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for done in range(repeats):
        progress("time a step", done, repeats)
        for name in reversed(names) if done % 2 else names:
            started = clock()
            for step in steps[name]:
                step()
            seconds[name].append(clock() - started)
    progress("time a step", repeats, repeats)
    return seconds


def against(seconds: Mapping[str, list[float]], reference: str) -> dict[str, dict[str, Any]]:
    """Median seconds of each entry, and its ratio to the reference in the same repeat: median, quartiles."""
    out = {}
    for name, mine in seconds.items():
        ratio = np.divide(mine, seconds[reference])
        low, high = np.quantile(ratio, (0.25, 0.75))
        out[name] = {"step_s": median(mine), "ratio": float(np.median(ratio)), "quartiles": [float(low), float(high)]}
    return out
