"""Codes from scans in closed form: the encoding model turned round, and a linear map of what it finds over some TRs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORES = 32
"""Most components of the predicted scans that are looked for in a scan; those that noise hides shrink to nothing."""
AHEAD_S = 12.0
"""So long after a TR its response is looked for: by then a canonical one has fallen back to its baseline."""


class Inversion(nn.Module):
    """Scans of each person [B, T, V] -> scores [B, T, M * L] -> codes {name: [B, T, W]}.

    M scores a TR say how much of each component of everybody's predicted scans there is in a scan, given the person's
    noise; behind them stand those of the L - 1 TRs that follow. Codes are linear in them. Before
    `giblet.training.inversion` has fitted it, all codes are 0.
    """

    def __init__(self, voxels: Sequence[int], widths: Mapping[str, int], tr_s: float) -> None:
        super().__init__()
        self.lags = int(np.ceil(AHEAD_S / tr_s)) + 1
        self.width = SCORES * self.lags
        for person, n in enumerate(voxels):
            self.register_buffer(f"into_{person}", torch.zeros(n, SCORES))
        for name, width in widths.items():
            self.register_buffer(f"weights_{name}", torch.zeros(self.width, width))
            self.register_buffer(f"offset_{name}", torch.zeros(width))
        self.names = list(widths)

    def forward(self, y: Tensor, valid: Tensor, person: int) -> Tensor:
        """Scores [B, T, M * L] of scans [B, T, V]; what is not valid, or comes behind the last TR, is 0."""
        scores = (y * valid.unsqueeze(-1)) @ self.get_buffer(f"into_{person}")
        length = scores.shape[1]
        later = F.pad(scores, (0, 0, 0, self.lags - 1))
        return torch.cat([later[:, lag : lag + length] for lag in range(self.lags)], -1)

    def codes(self, scores: Tensor) -> dict[str, Tensor]:
        """{name: [.., W]} from scores [.., M * L]."""
        return {n: scores @ self.get_buffer(f"weights_{n}") + self.get_buffer(f"offset_{n}") for n in self.names}

    def put(self, name: str, value: Tensor) -> None:
        """Set a buffer."""
        self.get_buffer(name).copy_(value)
