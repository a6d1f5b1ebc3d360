"""The loop of vec2text: guess, embed the guess, correct it by what is missing, keep the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from giblet_text_bge.inversion.networks import CorrectorNet, EncoderInput, InversionNet

Embed = Callable[[Tensor], Tensor]
"""Token ids [B, L] to the embeddings [B, D] of the texts that they spell."""


@dataclass(frozen=True)
class Beam:
    """The guesses at one step, best first: ids [B, K, L], embeddings [B, K, D], cosines to the target [B, K]."""

    ids: Tensor
    vectors: Tensor
    cosines: Tensor

    def of(self, rows: Tensor) -> Beam:
        """The guesses of some targets."""
        return Beam(self.ids[rows], self.vectors[rows], self.cosines[rows])


@torch.inference_mode()
def steps_of(
    inversion: InversionNet, corrector: CorrectorNet, target: Tensor, embed: Embed, beam: int, max_tokens: int
) -> Iterator[Beam]:
    """The beams for target [B, D] at step 0, 1, 2, ... without end.

    Step 0 is the inverter's own guess, greedy whatever the beam. Each further step corrects each guess into `beam` new
    ones and keeps the `beam` different ones that lie nearest to the target, so K is 1 at step 0 and `beam` after it.
    Guesses that a step leaves as they are would stay so for ever, without chance, and are not corrected again.
    """
    ids = generate(inversion.encoder_decoder, inversion.encoder_input(target), 1, max_tokens)
    found, moving = _nearest(target, ids, embed, 1), torch.arange(len(target))
    while True:
        yield found
        if len(moving):
            before = found.of(moving)
            after = _corrected(corrector, target[moving], before, embed, beam, max_tokens)
            found, moving = _merged(found, moving, after), moving[_changed(before, after)]


def _corrected(corrector: CorrectorNet, target: Tensor, held: Beam, embed: Embed, beam: int, max_tokens: int) -> Beam:
    spread = target.repeat_interleave(held.ids.shape[1], 0)
    seen = corrector.encoder_input(spread, held.ids.flatten(0, 1), held.vectors.flatten(0, 1))
    return _nearest(target, generate(corrector.encoder_decoder, seen, beam, max_tokens), embed, beam)


def _changed(before: Beam, after: Beam) -> Tensor:
    """Which targets have other guesses than before, [B]."""
    if before.ids.shape[1] != after.ids.shape[1]:
        return torch.ones(len(after.ids), dtype=torch.bool)
    length = max(before.ids.shape[2], after.ids.shape[2])
    return (_padded(before.ids, length) != _padded(after.ids, length)).flatten(1).any(1)


def _merged(found: Beam, rows: Tensor, after: Beam) -> Beam:
    """The beams with those of some rows replaced."""
    if len(rows) == len(found.ids):
        return after
    length = max(found.ids.shape[2], after.ids.shape[2])
    ids, vectors, cosines = _padded(found.ids, length).clone(), found.vectors.clone(), found.cosines.clone()
    ids[rows], vectors[rows], cosines[rows] = _padded(after.ids, length), after.vectors, after.cosines
    return Beam(ids, vectors, cosines)


def _padded(ids: Tensor, length: int) -> Tensor:
    """With the padding token of a T5, 0, at the end."""
    return torch.nn.functional.pad(ids, (0, length - ids.shape[-1]))


def generate(t5: Any, encoder_input: EncoderInput, beam: int, max_tokens: int) -> Tensor:
    """Token ids [B * beam, L] that a T5 writes for what its encoder reads, without chance."""
    embeddings, mask = encoder_input
    ids: Tensor = t5.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        max_length=max_tokens,
        min_length=1,
        num_beams=beam,
        num_return_sequences=beam,
        do_sample=False,
        early_stopping=False,
    )
    return ids


def _nearest(target: Tensor, ids: Tensor, embed: Embed, keep: int) -> Beam:
    """The guesses nearest to each target, `keep` of them, no text twice as long as there are enough."""
    vectors = embed(ids).unflatten(0, (len(target), -1))
    by_row = ids.unflatten(0, (len(target), -1))
    cosines = torch.cosine_similarity(vectors, target[:, None], dim=2)
    order = cosines.argsort(dim=1, descending=True, stable=True)
    chosen = torch.stack([_different(by_row[i], order[i], keep) for i in range(len(target))])
    rows = torch.arange(len(target))[:, None]
    return Beam(by_row[rows, chosen], vectors[rows, chosen], cosines[rows, chosen])


def _different(ids: Tensor, order: Tensor, keep: int) -> Tensor:
    """The first `keep` of an order whose tokens differ; the best fills what remains."""
    first = {tuple(ids[i].tolist()): i for i in reversed(order.tolist())}
    chosen = sorted(first.values(), key=order.tolist().index)[:keep]
    return torch.tensor(chosen + [chosen[0]] * (keep - len(chosen)))
