"""Several losses of one step: their weights, the length of their gradients, and scales that make these equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

BALANCE_EVERY = 10
"""Steps between two measurements of the gradients; scales hold in between."""
SILENT = 1e-12
"""A gradient shorter than this counts as none: its loss keeps its scale."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of one step by name, their weights (1 if not named), and the parameters that all of them reach."""

    parts: Mapping[str, Tensor]
    shared: Sequence[Tensor]
    weights: Mapping[str, float] = field(default_factory=dict)

    def gradients(self) -> dict[str, Tensor]:
        """Each loss's gradient on all shared parameters, end to end [P], before weights and scales."""
        return {name: self._gradient(loss) for name, loss in self.parts.items()}

    def _gradient(self, loss: Tensor) -> Tensor:
        trained = [p for p in self.shared if p.requires_grad]
        if not (loss.requires_grad and trained):
            return torch.zeros(1, device=loss.device)
        found = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
        return torch.cat(
            [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(trained, found, strict=True)]
        )

    def total(self, scales: Mapping[str, float]) -> Tensor:
        """The sum that is minimised."""
        weighted = [loss * self.weights.get(n, 1.0) * scales.get(n, 1.0) for n, loss in self.parts.items()]
        return torch.stack(weighted).sum()


def equalised(norms: Mapping[str, float]) -> dict[str, float]:
    """Scales, 1 on average, under which all gradients are as long as each other; a loss without gradient has none.

    The fixed point of GradNorm with asymmetry 0 (Chen et al. 2018, arXiv:1711.02257), taken at once, not learned.
    """
    loud = {n: g for n, g in norms.items() if g > SILENT}
    if not loud:
        return {}
    mean = sum(loud.values()) / len(loud)
    raw = {n: mean / g for n, g in loud.items()}
    size = len(raw) / sum(raw.values())
    return {n: s * size for n, s in raw.items()}
