"""Codes are names, not numbers: an embedding a codebook on the way in, a distribution a codebook on the way out."""

from __future__ import annotations

from math import ceil

import torch
from giblet.nn import build_temporal
from giblet.types import FeatureSpec, Temporal
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN, TOKEN = 96, 32
PLACES = 16
"""How many means over time the encoder keeps of a TR: 0.1 s each at a TR of 1.5 s."""
GROW = 4
KERNELS = (3, 5, 7)


def tokens(vectors: Tensor, size: int) -> Tensor:
    """The codec's own vectors [C, K, D] on their principal axes, [C, K, size], of unit SD over each codebook."""
    centred = vectors - vectors.mean(1, keepdim=True)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:, :size]
    out = centred @ axes.mT
    out = out / out.flatten(1).std(1).clamp_min(1e-6)[:, None, None]
    return F.pad(out, (0, size - out.shape[2]))


class MultiScale(nn.Module):
    """Convolutions of 3, 5 and 7 frames side by side, added to their input: [n, H, F] -> [n, H, F]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(hidden, hidden // len(KERNELS), k, padding=k // 2) for k in KERNELS)
        self.mix = nn.Conv1d(hidden // len(KERNELS) * len(KERNELS), hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, H, F] -> [n, H, F]."""
        return x + self.mix(F.gelu(torch.cat([conv(x) for conv in self.convs], 1)))


class Places(nn.Module):
    """[n, F, H], [n, F] -> [n, 16 H]: multi-scale convolutions, then means over 16 places, side by side."""

    def __init__(self, frames: int, hidden: int) -> None:
        super().__init__()
        self.conv = MultiScale(hidden)
        self.pool = ceil(frames / PLACES)
        self.outputs = hidden * ceil(frames / self.pool)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, H], [n, F] -> [n, 16 H]."""
        there = mask.unsqueeze(1).to(x.dtype)
        refined = self.conv(x.transpose(1, 2) * there) * there
        summed, count = (F.avg_pool1d(v, self.pool, ceil_mode=True) for v in (refined, there))
        return (summed / count.clamp_min(1e-6)).flatten(1)


class CodeEncoder(nn.Module):
    """[n, F, C] codes, [n, F] -> [n, D]: an embedding a codebook, then the frames of the TR to one.

    `temporal="own"` keeps `Places`; the other names are those of `giblet.nn.build_temporal`.
    """

    def __init__(self, spec: FeatureSpec, width: int, vectors: Tensor, temporal: Temporal = "own") -> None:
        super().__init__()
        classes = spec.num_classes or 1
        self.embed = nn.Embedding.from_pretrained(tokens(vectors, TOKEN).flatten(0, 1), freeze=False)
        self.offset = nn.Buffer(torch.arange(spec.size) * classes, persistent=False)
        self.frame = nn.Linear(spec.size * TOKEN, HIDDEN)
        own = Places(spec.frames, HIDDEN) if temporal == "own" else None
        self.pool = own or build_temporal(temporal, HIDDEN, spec.tr_s)
        self.out = nn.Linear(own.outputs if own else HIDDEN, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, C], [n, F] -> [n, D]."""
        frames = self.frame(self.embed(x.flatten(2).long() + self.offset).flatten(2))
        return self.out(self.pool(frames, mask))


class CodeDecoder(nn.Module):
    """[n, D] -> logits [n, F, C, K], coarse codebook first.

    Each book is a query against its embedding; the next books see the expected embedding of the earlier ones, so that
    no targets are needed. The expectation is held fixed in the backward pass.
    """

    def __init__(self, spec: FeatureSpec, width: int, vectors: Tensor) -> None:
        super().__init__()
        self.shape, books = spec.shape, spec.size
        self.token = nn.Parameter(tokens(vectors, TOKEN))
        self.prior = nn.Parameter(torch.zeros(books, vectors.shape[1]))
        self.start = nn.Linear(width, HIDDEN * ceil(spec.frames / GROW))
        self.frames = spec.frames
        self.grow = nn.ConvTranspose1d(HIDDEN, HIDDEN, GROW, GROW)
        self.conv = MultiScale(HIDDEN)
        self.query = nn.ModuleList(nn.Linear(HIDDEN, TOKEN) for _ in range(books))
        self.condition = nn.ModuleList(nn.Linear(TOKEN, HIDDEN) for _ in range(books - 1))

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, C, K]."""
        x = F.gelu(self.start(h).unflatten(1, (-1, HIDDEN)))
        x = self.conv(self.grow(x.transpose(1, 2))[:, :, : self.frames]).transpose(1, 2)
        logits = []
        for book, query in enumerate(self.query):
            logits.append(query(F.gelu(x)) @ self.token[book].T + self.prior[book])
            if book < len(self.condition):
                expected = logits[-1].detach().softmax(-1) @ self.token[book].detach()
                x = x + self.condition[book](expected)
        return torch.stack(logits, 2).unflatten(2, self.shape)
