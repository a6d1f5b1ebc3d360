"""Residual vector quantisation, with the rounding of the model's own and fewer passes over the distances."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FRAMES = 750
"""At once: distances to all vectors of a book are 3 MB, and twice as fast as those of a minute."""


def residual_codes(books: Sequence[Tensor], latents: Tensor) -> Tensor:
    """The codes [n, C] whose vectors, of books [K, D] each, add up nearest to latents [n, D], coarse book first."""
    norms = [book.square().sum(1) for book in books]
    return torch.cat([_codes(books, norms, part) for part in latents.split(FRAMES)])


def _codes(books: Sequence[Tensor], norms: Sequence[Tensor], residual: Tensor) -> Tensor:
    found = []
    for book, norm in zip(books, norms, strict=True):
        # |x|^2 - 2 x.e + |e|^2 in this order: doubling is exact, so every distance is rounded as the model rounds it.
        distance = residual @ book.T
        torch.add(residual.square().sum(1, keepdim=True), distance, alpha=-2, out=distance)
        found.append(distance.add_(norm).argmin(1))
        residual = residual - book[found[-1]]
    return torch.stack(found, 1)
