"""The residual quantiser in training: straight through, codebooks as running means, unused codes put where data are.

As in EnCodec (Défossez et al. 2022, arXiv:2210.13438, section 3.2) and VQ-VAE (van den Oord et al. 2017,
arXiv:1711.00937, appendix A).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

DECAY = 0.99
RARE = 0.02
"""Vectors a step under which a code counts as unused."""
LLOYD_ROUNDS = 12


def nearest(vectors: Tensor, book: Tensor) -> Tensor:
    """Index [n] of the row of `book` [K, D] that is nearest to each vector [n, D]."""
    return (book.square().sum(1) - 2 * vectors @ book.T).argmin(1)


def k_means(vectors: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Centres [size, D] of vectors [n, D] by Lloyd's rounds; an empty centre moves to a random vector."""
    book = vectors[torch.randperm(len(vectors), generator=rng)[:size]].clone()
    for _ in range(LLOYD_ROUNDS):
        sums, counts = _sums(vectors, nearest(vectors, book), size)
        book = sums / counts.clamp_min(1)[:, None]
        empty = counts == 0
        book[empty] = vectors[torch.randint(len(vectors), (int(empty.sum()),), generator=rng)]
    return book


def start_books(quantizer: Any, vectors: Tensor, rng: torch.Generator) -> None:
    """Each codebook becomes the k-means of what the books before it leave of `vectors` [n, D]."""
    for layer in quantizer.layers:
        book = layer.codebook
        book.embed.copy_(k_means(vectors, book.codebook_size, rng))
        book.cluster_size.fill_(1.0)
        book.embed_avg.copy_(book.embed)
        vectors = vectors - book.embed[nearest(vectors, book.embed)]


def quantise(quantizer: Any, latents: Tensor, books: Tensor) -> tuple[Tensor, Tensor]:
    """Quantised latents and the commitment loss.

    Parameters
    ----------
    quantizer
        The residual quantiser of an `EncodecModel`.
    latents
        [B, D, T].
    books
        How many codebooks each item uses, [B]; 0 leaves its latents as they are.

    Returns
    -------
    quantised
        [B, D, T], whose gradient goes to `latents` unchanged.
    commitment
        Mean square of what each book leaves, a number.
    """
    B, D, T = latents.shape
    vectors = latents.transpose(1, 2).reshape(-1, D)
    plain, used = vectors.detach(), books.repeat_interleave(T)
    made, commitment = torch.zeros_like(plain), latents.new_zeros(())
    for depth, layer in enumerate(quantizer.layers):
        deep = (used > depth)[:, None]
        embed = layer.codebook.embed
        made = made + embed[nearest(plain - made, embed)] * deep
        commitment = commitment + ((vectors - made).square().mean(1, keepdim=True) * deep).mean()
    target = torch.where((used > 0)[:, None], made, plain)
    through = vectors + (target - vectors).detach()
    return through.reshape(B, T, D).transpose(1, 2), commitment / len(quantizer.layers)


def learn_books(quantizer: Any, vectors: Tensor, rng: torch.Generator) -> None:
    """Move every codebook towards what the books before it leave of `vectors` [n, D]."""
    for layer in quantizer.layers:
        code = nearest(vectors, layer.codebook.embed)
        left = vectors - layer.codebook.embed[code]
        _learn(layer.codebook, vectors, code, rng)
        vectors = left


def _learn(book: Any, vectors: Tensor, code: Tensor, rng: torch.Generator) -> None:
    """Running mean of the vectors of each code; a code that hardly any vector takes becomes a vector of this batch."""
    sums, counts = _sums(vectors, code, book.codebook_size)
    book.cluster_size.lerp_(counts, 1 - DECAY)
    book.embed_avg.lerp_(sums, 1 - DECAY)
    rare = book.cluster_size < RARE
    chosen = torch.randint(len(vectors), (int(rare.sum()),), generator=rng)
    book.cluster_size[rare] = 0.2
    book.embed_avg[rare] = 0.2 * vectors[chosen]
    book.embed.copy_(book.embed_avg / book.cluster_size[:, None])


def _sums(vectors: Tensor, code: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Sum [size, D] and number [size] of the vectors of each code."""
    sums = vectors.new_zeros(size, vectors.shape[1]).index_add_(0, code, vectors)
    return sums, torch.bincount(code, minlength=size).to(vectors.dtype)
