"""What the loop needs to know of a stage, and how long it trains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.training.balance import Losses
from giblet.training.share import Share


class Task(Protocol):
    """One stage of training."""

    name: str

    @property
    def module(self) -> nn.Module:
        """What is trained and saved."""

    @property
    def networks(self) -> Sequence[nn.Module]:
        """All that a step passes through, trained or not."""

    @property
    def units(self) -> Sequence[nn.Module]:
        """The largest parts that every process passes through in the same order."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters to train, grouped by weight decay."""

    def read(self, step: int, share: Share) -> Any:
        """What a share of a step is made of, drawn and read; nothing of it depends on weights or on torch's draws."""

    def loss(self, batch: Any) -> Tensor | Losses:
        """Its part of the training loss of the step, or of several by name: the parts of all shares add up."""

    def validate(self, share: Share) -> float | Mapping[str, float]:
        """A share's part of the score on validation blocks, lower is better; several by name count as their mean."""


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
    accumulate: int = 1
    bf16: bool = False
    device: str = "cpu"
    parallel: str = "ddp"
    readers: int = 0
    save_every_s: float = 20.0

    @classmethod
    def of(cls, config: RunConfig, steps: int, lr: float) -> Schedule:
        """The schedule of a stage of a run."""
        t = config.train
        return cls(
            steps,
            lr,
            t.clip,
            t.patience,
            t.validate_every,
            config.seed,
            t.average,
            t.balance == "gradnorm",
            accumulate=t.accumulate,
            bf16=t.precision == "bf16",
            device=t.device,
            parallel=t.parallel,
            readers=t.readers,
            save_every_s=t.save_every_s,
        )

    @property
    def last(self) -> int:
        """The step behind which training ends, if nothing ends it before."""
        return self.steps if self.until is None else self.until
