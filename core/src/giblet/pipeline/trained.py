"""What training leaves in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from giblet.model import Codes, ModalityNets, Model, RelativeLoss, Scans


@dataclass(frozen=True)
class Trained:
    """A trained model with its front ends, codes and losses."""

    model: Model
    nets: list[ModalityNets]
    losses: dict[str, RelativeLoss]
    codes: Codes
    judged: Sequence[Scans] = ()
    """What each member predicted before it was fitted to validation blocks, which so can judge how scans are read."""
