"""What training leaves in memory."""

from __future__ import annotations

from dataclasses import dataclass

from giblet.model import Codes, ModalityNets, Model, RelativeLoss


@dataclass(frozen=True)
class Trained:
    """A trained model with its front ends, codes and losses."""

    model: Model
    nets: list[ModalityNets]
    losses: dict[str, RelativeLoss]
    codes: Codes
