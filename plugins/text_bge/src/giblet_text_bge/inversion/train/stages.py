"""What the two networks learn: the text from its embedding, and the text from its embedding and a first guess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from giblet.types import Progress
from numpy.typing import NDArray
from torch import Tensor

from giblet_text_bge.inversion.inverter import Embed
from giblet_text_bge.inversion.networks import CorrectorNet, InversionNet
from giblet_text_bge.inversion.search import generate
from giblet_text_bge.inversion.train.shards import in_shards
from giblet_text_bge.inversion.train.stage import Loss, Rows

IGNORED = -100
GUESSES_AT_ONCE = 256


@dataclass(frozen=True)
class Material:
    """All texts of a training, as embeddings [N, D] and token ids [N, L], padded with -1."""

    vectors: Tensor
    ids: Tensor
    noise: float

    def target(self, rows: Rows, generator: torch.Generator | None) -> Tensor:
        """The embeddings of some rows, in training with noise."""
        clean = self.vectors[rows]
        if generator is None or not self.noise:
            return clean
        return clean + noise_like(clean, self.noise, generator)

    def labels(self, rows: Rows) -> Tensor:
        """The tokens to be written, as long as the longest."""
        ids = self.ids[rows]
        ids = ids[:, : int((ids >= 0).sum(1).max())]
        return ids.masked_fill(ids < 0, IGNORED)


@dataclass(frozen=True)
class Guesses:
    """What the first network wrote for every text: token ids [N, L] and the embeddings of what they spell [N, D]."""

    ids: Tensor
    vectors: Tensor


def noise_like(vectors: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise whose length is on average `level` times that of each vector."""
    noise = torch.randn(vectors.shape, generator=generator)
    return noise * (level * vectors.norm(dim=1, keepdim=True) / vectors.shape[1] ** 0.5)


def inversion_loss(net: InversionNet, material: Material) -> Loss:
    """Cross entropy of the text, given its embedding."""

    def loss(rows: Rows, generator: torch.Generator | None) -> Tensor:
        seen = net.encoder_input(material.target(rows, generator))
        return _cross_entropy(net, *seen, material.labels(rows))

    return loss


def corrector_loss(net: CorrectorNet, material: Material, guesses: Guesses) -> Loss:
    """Cross entropy of the text, given its embedding and the first guess with its embedding."""

    def loss(rows: Rows, generator: torch.Generator | None) -> Tensor:
        guess = guesses.ids[rows]
        length = int((guess != net.encoder_decoder.config.pad_token_id).sum(1).max()) + 1
        seen = net.encoder_input(material.target(rows, generator), guess[:, :length], guesses.vectors[rows])
        return _cross_entropy(net, *seen, material.labels(rows))

    return loss


def guess_all(
    net: InversionNet, material: Material, tokenizer: Any, embed: Embed, folder: Path, progress: Progress
) -> Guesses:
    """The first network's guess for every text."""
    length = material.ids.shape[1]

    @torch.inference_mode()
    def write(part: slice) -> NDArray[Any]:
        found = [_guess(net, v, length) for v in material.vectors[part].split(GUESSES_AT_ONCE)]
        return torch.cat(found).numpy()

    ids = in_shards(folder / "ids", "guess", len(material.ids), write, progress)

    def embedded(part: slice) -> NDArray[Any]:
        return embed(tokenizer.batch_decode(ids[part], skip_special_tokens=True))

    vectors = in_shards(folder / "vectors", "embed guesses", len(ids), embedded, progress)
    return Guesses(torch.from_numpy(ids), torch.from_numpy(vectors))


def _guess(net: InversionNet, vectors: Tensor, length: int) -> Tensor:
    ids = generate(net.encoder_decoder, net.encoder_input(vectors), 1, length)
    return torch.nn.functional.pad(ids, (0, length - ids.shape[1]), value=net.encoder_decoder.config.pad_token_id)


def _cross_entropy(net: InversionNet | CorrectorNet, embeddings: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    return net.encoder_decoder(inputs_embeds=embeddings, attention_mask=mask, labels=labels).loss
