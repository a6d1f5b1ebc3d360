"""`hierarchical`: frames, then parts of about 200 ms, then the TR; each step chooses what it keeps.

Auditory cortex integrates over 150 to 250 ms (Poeppel 2003, doi:10.1016/S0167-6393(02)00107-3), and cortex as a whole
in windows that grow along its hierarchy (Hasson et al. 2008, doi:10.1523/JNEUROSCI.5487-07.2008).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from giblet.nn.temporal.clock import TimeCode, time_in_tr
from giblet.nn.temporal.pooling import masked_mean

MID_S = 0.2
"""Seconds that a middle part lasts, about."""
HEADS = (8, 4, 2, 1)


def perceptron(width: int, hidden: int, out: int) -> nn.Sequential:
    """Normalise, widen, narrow: [.., width] -> [.., out]."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))


class AttentionPool(nn.Module):
    """[n, F, D] to groups [n, G, D]: in each group a weighted mean of its members, the weights learned, per head.

    All weights are equal before training. A group without members is 0.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = next(h for h in HEADS if width % h == 0)
        self.score = nn.Linear(width, self.heads, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.score.weight)
        nn.init.eye_(self.value.weight)

    def forward(self, x: Tensor, members: Tensor) -> Tensor:
        """[n, F, D], [n, G, F] -> [n, G, D]."""
        logits = self.score(x).transpose(1, 2).unsqueeze(1)
        weight = logits.masked_fill(~members.unsqueeze(2), torch.finfo(x.dtype).min).softmax(-1)
        weight = weight * members.unsqueeze(2)
        pooled = torch.einsum("nghf,nfhd->nghd", weight, x.unflatten(2, (self.heads, -1)))
        return self.value(pooled.flatten(2))


class Hierarchical(nn.Module):
    """[n, F, D], [n, F] -> [n, D]: frames to parts of about 200 ms to the TR, and what the three levels say together.

    3.8 M parameters at D = 256, six in seven of them used once a TR.
    """

    def __init__(self, width: int, tr_s: float) -> None:
        super().__init__()
        self.parts = max(1, round(tr_s / MID_S))
        self.time = TimeCode(width)
        self.to_part, self.to_tr, self.part_to_tr = AttentionPool(width), AttentionPool(width), AttentionPool(width)
        self.neighbours = nn.Conv1d(width, width, 3, padding=1)
        self.part = perceptron(width, 2 * width, width)
        self.whole = perceptron(width, 8 * width, width)
        self.fuse = perceptron(3 * width, 8 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D], [n, F] -> [n, D]."""
        x = self.time(x, mask)
        part = (time_in_tr(mask) * self.parts).long().clamp_max(self.parts - 1)
        members = (part.unsqueeze(1) == torch.arange(self.parts, device=x.device)[:, None]) & mask.unsqueeze(1)
        there = members.any(2)
        middle = self._related(self.to_part(x, members), there)
        coarse = self.part_to_tr(middle, there.unsqueeze(1))[:, 0]
        coarse = coarse + self.whole(coarse)
        levels = [self.to_tr(x, mask.unsqueeze(1))[:, 0], masked_mean(middle, there), coarse]
        return coarse + self.fuse(torch.cat(levels, 1))

    def _related(self, middle: Tensor, there: Tensor) -> Tensor:
        """Parts [n, G, D] with their neighbours, then each by itself; parts without frames stay 0."""
        keep = there.unsqueeze(-1)
        middle = middle + self.neighbours(middle.transpose(1, 2)).transpose(1, 2)
        return (middle + self.part(middle)) * keep
