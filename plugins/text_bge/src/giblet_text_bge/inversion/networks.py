"""The two networks of vec2text (Morris et al. 2023, arXiv:2310.06816), under the names of its published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

EncoderInput = tuple[Tensor, Tensor]
"""Pseudo-tokens and tokens as the encoder of a T5 takes them, [B, L, d_model], and their mask [B, L]."""


@dataclass(frozen=True)
class Sizes:
    """What the weights themselves say of a network's sizes."""

    width: int
    bottleneck: int
    repeats: int
    """Pseudo-tokens that stand for one embedding."""


class InversionNet(nn.Module):
    """An embedding to its text at one stroke: a T5 whose encoder reads pseudo-tokens made from the embedding."""

    first = "embedding_transform"

    def __init__(self, t5: Any, sizes: Sizes) -> None:
        super().__init__()
        self.encoder_decoder, self.sizes = t5, sizes
        self.embedding_transform = _projection(sizes, t5.config.d_model)

    def encoder_input(self, target: Tensor) -> EncoderInput:
        """Pseudo-tokens of the embeddings [B, D]."""
        tokens = _tokens(self.embedding_transform, target, self.sizes.repeats)
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.long, device=tokens.device)


class CorrectorNet(nn.Module):
    """An embedding e, a guess and the guess's own embedding h to a better guess: T5 on e, h, e - h and the guess."""

    first = "embedding_transform_1"

    def __init__(self, t5: Any, sizes: Sizes) -> None:
        super().__init__()
        self.encoder_decoder, self.sizes = t5, sizes
        self.embedding_transform_1 = _projection(sizes, t5.config.d_model)
        self.embedding_transform_2 = _projection(sizes, t5.config.d_model)
        self.embedding_transform_3 = _projection(sizes, t5.config.d_model)
        self.layernorm = nn.LayerNorm(t5.config.d_model)

    def encoder_input(self, target: Tensor, guess: Tensor, guess_vector: Tensor) -> EncoderInput:
        """Of embeddings [B, D], token ids of the guesses [B, L] and their embeddings [B, D].

        Each part has an end-of-text token before it: e, then h, then e - h, then the guess. Padding is masked, and so
        is the token that begins a decoded text, which is the padding token in a T5.
        """
        config, repeats = self.encoder_decoder.config, self.sizes.repeats
        embed = self.encoder_decoder.encoder.embed_tokens
        end = embed(torch.full_like(guess[:, :1], config.eos_token_id))
        parts = (
            end,
            _tokens(self.embedding_transform_1, target, repeats),
            end,
            _tokens(self.embedding_transform_3, guess_vector, repeats),
            end,
            _tokens(self.embedding_transform_2, target - guess_vector, repeats),
            end,
            embed(guess),
        )
        always = torch.ones(len(guess), 4 + 3 * repeats, dtype=torch.long, device=guess.device)
        mask = torch.cat([always, (guess != config.pad_token_id).long()], 1)
        return self.layernorm(torch.cat(parts, 1)), mask


def _projection(sizes: Sizes, d_model: int) -> nn.Sequential:
    """Embedding to pseudo-tokens; the place of the dropout keeps the published names of the weights."""
    return nn.Sequential(
        nn.Linear(sizes.width, sizes.bottleneck),
        nn.Dropout(0.0),
        nn.GELU(),
        nn.Linear(sizes.bottleneck, d_model * sizes.repeats),
    )


def _tokens(transform: nn.Module, vectors: Tensor, repeats: int) -> Tensor:
    return transform(vectors).unflatten(1, (repeats, -1))
