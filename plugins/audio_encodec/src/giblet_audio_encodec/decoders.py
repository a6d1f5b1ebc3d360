"""From the code of a TR to its frames: a distribution a codebook, latents, or numbers."""

from __future__ import annotations

from math import ceil

import torch
from giblet.types import FeatureSpec
from torch import Tensor, nn
from torch.nn import functional as F

from giblet_audio_encodec.linear import FromCode
from giblet_audio_encodec.nets import HIDDEN, TOKEN, MultiScale, moments, tokens

GROW = 4
PRIOR_GAIN = 20.0
"""Of the learned log frequencies of codes, so that steps of one size for all weights reach them in time."""


class Frames(nn.Module):
    """[n, D] -> [n, F, H]: a dense layer to a quarter of the frames, then transposed and multi-scale convolutions."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.frames = frames
        self.start = nn.Linear(width, HIDDEN * ceil(frames / GROW))
        self.grow = nn.ConvTranspose1d(HIDDEN, HIDDEN, GROW, GROW)
        self.conv = MultiScale(HIDDEN)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, H]."""
        x = F.gelu(self.start(h).unflatten(1, (-1, HIDDEN)))
        return self.conv(self.grow(x.transpose(1, 2))[:, :, : self.frames]).transpose(1, 2)


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
        self.hidden = Frames(spec.frames, width)
        self.query = nn.ModuleList(nn.Linear(HIDDEN, TOKEN) for _ in range(books))
        self.condition = nn.ModuleList(nn.Linear(TOKEN, HIDDEN) for _ in range(books - 1))

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, C, K]."""
        x, logits = self.hidden(h), list[Tensor]()
        for book, query in enumerate(self.query):
            logits.append(query(F.gelu(x)) @ self.token[book].T + PRIOR_GAIN * self.prior[book])
            if book < len(self.condition):
                expected = logits[-1].detach().softmax(-1) @ self.token[book].detach()
                x = x + self.condition[book](expected)
        return torch.stack(logits, 2).unflatten(2, self.shape)


class LatentDecoder(nn.Module):
    """[n, D] -> latents [n, F, D']: the linear way, to which what is learned is added; nothing at first."""

    def __init__(self, spec: FeatureSpec, width: int, vectors: Tensor) -> None:
        super().__init__()
        self.scale = nn.Buffer(moments(vectors)[1], persistent=False)
        self.linear = FromCode(spec.frames, width, vectors)
        self.hidden, self.out = Frames(spec.frames, width), nn.Linear(HIDDEN, spec.size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, D']."""
        return self.linear(h) + self.out(F.gelu(self.hidden(h))) * self.scale


class NumberDecoder(nn.Module):
    """[n, D] -> numbers [n, F, C] from 0 to K - 1, by a sigmoid."""

    def __init__(self, spec: FeatureSpec, width: int, classes: int) -> None:
        super().__init__()
        self.shape, self.largest = spec.shape, classes - 1
        self.hidden, self.out = Frames(spec.frames, width), nn.Linear(HIDDEN, spec.size)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, C]."""
        return (self.largest * self.out(F.gelu(self.hidden(h))).sigmoid()).unflatten(2, self.shape)
