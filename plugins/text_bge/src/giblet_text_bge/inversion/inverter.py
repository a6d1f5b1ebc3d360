"""What turns embeddings into texts: two networks, their tokens, and the embedder that judges the guesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from giblet.errors import ConfigError
from giblet.progress import tell
from giblet.types import Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from giblet_text_bge.inversion.networks import CorrectorNet, InversionNet
    from giblet_text_bge.inversion.search import Beam

Embed = Callable[[list[str]], NDArray[np.float32]]
"""Texts to their embeddings, [N, D], as the decoded embeddings were made: the same model, prefix and scale."""
MOST_STEPS = 50
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Found:
    """Texts [N], the cosines [N] of their embeddings to what was asked for, and the steps [N] that found them."""

    texts: list[str]
    cosines: NDArray[np.float32]
    steps: NDArray[np.int64]


@dataclass(frozen=True)
class Inverter:
    """Embeddings to texts, by guessing, embedding the guess and correcting it."""

    inversion: InversionNet
    corrector: CorrectorNet
    tokenizer: Any
    embed: Embed
    max_tokens: int
    """The most tokens of a text, the one that begins it counted."""

    def invert(self, vectors: Float, steps: int = 20, beam: int = 1) -> list[str]:
        """A text for each of [N, D]: `find` without the figures."""
        return self.find(vectors, steps, beam).texts

    def find(self, vectors: Float, steps: int = 20, beam: int = 1) -> Found:
        """For each of [N, D] the text, of all that were tried in `steps` corrections, whose embedding is nearest.

        Raises
        ------
        ConfigError
            If the steps are not 0 to 50, the beam is less than 1, or the embeddings have another width.
        """
        return self.course(vectors, steps, beam)[-1]

    def course(self, vectors: Float, steps: int = 20, beam: int = 1) -> list[Found]:
        """What `find` finds with 0, 1, ... `steps` corrections, at the cost of the last; errors as of `find`."""
        self._check(vectors, steps, beam)
        parts = []
        for i in range(0, max(len(vectors), 1), ROWS_AT_ONCE):
            tell("invert", i, len(vectors))
            parts.append(self._course(vectors[i : i + ROWS_AT_ONCE], steps, beam))
        tell("invert", len(vectors), len(vectors))
        return [_joined(at_step) for at_step in zip(*parts, strict=True)]

    def beams(self, vectors: Float, steps: int, beam: int) -> list[Beam]:
        """What the loop holds at step 0, 1, ... `steps` (`search.steps_of`)."""
        import torch

        from giblet_text_bge.inversion.search import steps_of

        target = torch.from_numpy(np.asarray(vectors, np.float32))
        every = steps_of(self.inversion, self.corrector, target, self._embed_ids, beam, self.max_tokens)
        return list(islice(every, steps + 1))

    def _course(self, vectors: Float, steps: int, beam: int) -> list[Found]:
        if not len(vectors):
            return [_NOTHING] * (steps + 1)
        held = self.beams(vectors, steps, beam)
        texts = [self._text(b.ids[:, 0]) for b in held]
        cosines = np.stack([b.cosines[:, 0].numpy() for b in held])  # [steps + 1, N]
        return [_best(texts, cosines[: step + 1]) for step in range(steps + 1)]

    def _text(self, ids: Tensor) -> list[str]:
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts

    def _embed_ids(self, ids: Tensor) -> Tensor:
        """The embeddings of token ids [B, L]; a text that comes several times is embedded once."""
        import torch

        texts = self._text(ids)
        different = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        vectors = np.asarray(self.embed(list(different)), np.float32)
        return torch.from_numpy(vectors)[[different[text] for text in texts]]

    def _check(self, vectors: Float, steps: int, beam: int) -> None:
        width = self.inversion.sizes.width
        if not 0 <= steps <= MOST_STEPS or beam < 1:
            raise ConfigError(f"steps={steps}, beam={beam}: steps are 0 to {MOST_STEPS}, a beam is 1 or more")
        if vectors.ndim != 2 or vectors.shape[1] != width:
            raise ConfigError(
                f"the inverter takes embeddings [N, {width}], not {list(vectors.shape)}; use its embedder"
            )


_NOTHING = Found([], np.zeros(0, np.float32), np.zeros(0, np.int64))


def _best(texts: list[list[str]], cosines: NDArray[np.float32]) -> Found:
    """Of what each step held, [steps, N], the nearest; of equals the first."""
    best = cosines.argmax(0)
    return Found([texts[step][n] for n, step in enumerate(best)], cosines.max(0), best)


def _joined(parts: Sequence[Found]) -> Found:
    texts = [text for part in parts for text in part.texts]
    return Found(texts, np.concatenate([p.cosines for p in parts]), np.concatenate([p.steps for p in parts]))


def load_inverter(folder_or_name: str | Path, embed: Embed, embedder: str) -> Inverter:
    """Open an inverter and try it: its embedder must be the one that is in use, and it must find its own texts again.

    `folder_or_name` is a folder that `giblet train-inverter` wrote, or one that holds two published checkpoints of
    vec2text as `inversion` and `corrector`.

    Raises
    ------
    WeightsError
        If there is no inverter, it was made for another embedder, or it fails its own check.
    """
    from giblet_text_bge.inversion import checkpoint, trial

    folder = checkpoint.find(folder_or_name)
    record = checkpoint.read_record(folder)
    trial.check_embedder(folder, record, embed, embedder)
    inverter = checkpoint.open_inverter(folder, record, embed)
    trial.check_texts(folder, record, inverter)
    return inverter
