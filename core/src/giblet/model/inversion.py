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
    """Scans of each person [B, T, V] -> scores [B, T, M] -> codes {name: [B, T, W]}.

    M scores a TR say how much of each component of everybody's predicted scans there is in a scan, given the person's
    noise. Codes are linear in the scores of a TR and of the L - 1 that follow in its block. Before
    `giblet.training.inversion` has fitted it, all codes are 0.
    """

    def __init__(self, voxels: Sequence[int], widths: Mapping[str, int], tr_s: float) -> None:
        super().__init__()
        self.lags = int(np.ceil(AHEAD_S / tr_s)) + 1
        for person, n in enumerate(voxels):
            self.register_buffer(f"into_{person}", torch.zeros(n, SCORES))
        for name, width in widths.items():
            self.register_buffer(f"weights_{name}", torch.zeros(SCORES * self.lags, width))
            self.register_buffer(f"offset_{name}", torch.zeros(width))
        self.names = list(widths)

    def forward(self, y: Tensor, valid: Tensor, person: int) -> Tensor:
        """Scores [B, T, M] of whole blocks of scans [B, T, V]; what is not valid is 0."""
        return (y * valid.unsqueeze(-1)) @ self.get_buffer(f"into_{person}")

    def ahead(self, scores: Tensor) -> Tensor:
        """Scores of whole blocks [.., T, M] with those of the TRs that follow, [.., T, M * L]; 0 behind the last."""
        length = scores.shape[-2]
        later = F.pad(scores, (0, 0, 0, self.lags - 1))
        return torch.cat([later[..., lag : lag + length, :] for lag in range(self.lags)], -1)

    def codes(self, scores: Tensor) -> dict[str, Tensor]:
        """{name: [.., T, W]} from scores of whole blocks [.., T, M]."""
        rows = self.ahead(scores)
        return {n: rows @ self.get_buffer(f"weights_{n}") + self.get_buffer(f"offset_{n}") for n in self.names}

    def put(self, name: str, value: Tensor) -> None:
        """Set a buffer."""
        self.get_buffer(name).copy_(value)
