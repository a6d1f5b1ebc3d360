"""Codes from scans in closed form: the encoding model turned round, and a linear filter of what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCORES = 32
"""Most components of the predicted scans that are looked for in a scan; those that noise hides shrink to nothing."""
BEHIND_S, AHEAD_S = 6.0, 12.0
"""So long after a TR its response is looked for: by then a canonical one has fallen back to its baseline. What comes
so long before it tells of what else is still answered to."""


class Inversion(nn.Module):
    """Scans of each person [B, T, V] -> scores [B, T, M] -> codes {name: [B, T, W]}.

    M scores a TR say how much of each component of everybody's predicted scans there is in a scan, given the person's
    noise. Codes are linear in the scores of a TR and of those around it in its block, at `lags` [L]. Before
    `giblet.training.inversion` has fitted it, all codes are 0.
    """

    def __init__(self, voxels: Sequence[int], widths: Mapping[str, int], tr_s: float) -> None:
        super().__init__()
        self.lags = np.arange(-int(np.ceil(BEHIND_S / tr_s)), int(np.ceil(AHEAD_S / tr_s)) + 1)
        for person, n in enumerate(voxels):
            self.register_buffer(f"into_{person}", torch.zeros(n, SCORES))
        for name, width in widths.items():
            self.register_buffer(f"weights_{name}", torch.zeros(SCORES * len(self.lags), width))
            self.register_buffer(f"offset_{name}", torch.zeros(width))
        self.names = list(widths)

    def forward(self, y: Tensor, valid: Tensor, person: int) -> Tensor:
        """Scores [B, T, M] of whole blocks of scans [B, T, V]; what is not valid is 0."""
        return (y * valid.unsqueeze(-1)) @ self.get_buffer(f"into_{person}")

    def around(self, scores: Tensor) -> Tensor:
        """Scores of whole blocks [.., T, M] with those of the TRs around, [.., T, L M]; 0 outside the block."""
        length, first = scores.shape[-2], int(self.lags[0])
        wide = F.pad(scores, (0, 0, -first, int(self.lags[-1])))
        return torch.cat([wide[..., lag - first : lag - first + length, :] for lag in self.lags.tolist()], -1)

    def codes(self, scores: Tensor) -> dict[str, Tensor]:
        """{name: [.., T, W]} from scores of whole blocks [.., T, M]."""
        rows = self.around(scores)
        return {n: rows @ self.get_buffer(f"weights_{n}") + self.get_buffer(f"offset_{n}") for n in self.names}

    def put(self, name: str, value: Tensor) -> None:
        """Set a buffer."""
        self.get_buffer(name).copy_(value)
