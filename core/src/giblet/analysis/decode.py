"""What can be read back out of brain space on test blocks: from predicted, noisy, measured and time-permuted scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.analysis.joined import scored_blocks, scored_people
from giblet.analysis.scores import Mask
from giblet.analysis.smuggling import FAINT
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.model import (
    Codes,
    ModalityNets,
    Model,
    RelativeLoss,
    Scans,
    add_residuals,
    decode_code,
    read_block,
    residual_places,
)
from giblet.types import Progress, silent

CONDITIONS = ("predicted", "faint", "noisy", "measured", "permuted")
NOISE_POWER = {"faint": FAINT, "noisy": 1.0}
"""Power of the residuals that are added to a prediction, as a share of their own."""
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Reader:
    """A trained model with everything that decoding needs.

    Who and what counts is as for the scores of scans: people of whom enough test TRs were measured, and of them the TRs
    that were.
    """

    model: Model
    nets: Sequence[ModalityNets]
    losses: Mapping[str, RelativeLoss]
    codes: Codes
    timelines: Sequence[Timeline]
    predicted: Scans
    config: RunConfig

    def scan(self, condition: str, timeline: int, block: Block, subject: str, draw: int = 0) -> Matrix:
        """One person's scan of a block under a condition, [T, V]."""
        t = self.timelines[timeline]
        if condition == "predicted":
            return self.predicted[timeline][subject][block.trs]
        if condition in NOISE_POWER:
            rng = np.random.default_rng(
                [self.config.seed, draw, self._number(timeline, block), self.model.subjects.index(subject)]
            )
            start = int(rng.integers(len(residual_places(self.timelines, subject))))
            rows = np.arange(block.start, block.stop)
            noisy = add_residuals(self.timelines, self.predicted, timeline, subject, start, rows)
            clean = self.predicted[timeline][subject][block.trs]
            return np.asarray(clean + NOISE_POWER[condition] ** 0.5 * (noisy - clean), np.float32)
        y = t.scans[subject][block.trs]
        return _permuted(y) if condition == "permuted" else y

    def _number(self, timeline: int, block: Block) -> int:
        """A block's number in all runs that are tested, so that each has noise of its own."""
        before = sum(len(t.blocks) for t in self.timelines[:timeline] if t.of("test"))
        return before + self.timelines[timeline].blocks.index(block)

    def latent(self, condition: str, timeline: int, block: Block, subject: str, draw: int = 0) -> Tensor:
        """What is read from such a scan, [T, D], for the model's `rebuild`."""
        y, there = self.scan(condition, timeline, block, subject, draw), self.there(condition, timeline, block, subject)
        return read_block(self.model, y, there, subject)

    def there(self, condition: str, timeline: int, block: Block, subject: str) -> Mask:
        """Which TRs of such a scan were measured, [T]."""
        measured = self.timelines[timeline].scanned[subject][block.trs]
        return _permuted(measured) if condition == "permuted" else measured

    @cached_property
    def people(self) -> list[str]:
        """Who is scored."""
        return scored_people(self.timelines, self.model.subjects)

    def measured(self, timeline: int, block: Block) -> list[str]:
        """Who is scored of those of whom anything was measured in a block."""
        return [s for s in self.timelines[timeline].measured(block) if s in self.people]

    def places(self) -> list[tuple[int, Block]]:
        """Every test block in which somebody was measured who is scored, with the number of its run."""
        return scored_blocks(self.timelines, self.model.subjects)

    def everybody(self, condition: str, timeline: int, block: Block) -> dict[str, Mask]:
        """Which TRs of a block were measured, [T], of each person who is scored."""
        return {s: self.there(condition, timeline, block, s) for s in self.measured(timeline, block)}

    def somebody(self, timeline: int, block: Block) -> Mask:
        """Which TRs of a block were measured in anybody who is scored, [T]."""
        return np.any(list(self.everybody("measured", timeline, block).values()), axis=0)

    def present(self, name: str, timeline: int, block: Block) -> Mask:
        """The TRs of a block that have a modality and were measured in somebody, [T]."""
        return np.asarray(self.codes.present[timeline][name][block.trs] & self.somebody(timeline, block))

    def group_latent(self, condition: str, timeline: int, block: Block) -> Tensor:
        """The mean of what is read from scans over those who were measured at each TR, [T, D]."""
        people = self.everybody(condition, timeline, block)
        each, counts = torch.stack([self.latent(condition, timeline, block, s) for s in people]), counting(people)
        return (each * counts).sum(0) / counts.sum(0)

    def losses_of(self, z: Tensor, timeline: int, block: Block, measured: Mask) -> dict[str, NDArray[np.float64]]:
        """Relative loss of each modality on each TR of a block that has it and was `measured` [T], of latents."""
        guess = self.model.rebuild(z)
        out = {}
        for n in self.nets:
            if n.name in guess:
                there = np.flatnonzero(self.codes.present[timeline][n.name][block.trs] & measured)
                out[n.name] = self._per_tr(n, guess[n.name], timeline, block, there)
        return out

    def _per_tr(
        self, n: ModalityNets, guess: Tensor, timeline: int, block: Block, there: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        parts = [np.zeros(0)]
        with torch.no_grad():
            for at in range(0, len(there), 32):
                rows = there[at : at + 32]
                x, mask = self.timelines[timeline].aligned[n.name].rows(block.start + rows, n.spec.frames)
                made = decode_code(n, self.codes, guess[rows])
                loss = self.losses[n.name].per_tr(made, torch.from_numpy(x), torch.from_numpy(mask))
                parts.append(loss.double().numpy())
        return np.concatenate(parts)


def counting(there: Mapping[str, Mask]) -> Tensor:
    """Who counts at a TR in a mean over people, 0 or 1 [S, T, 1]: those who are `there` [T], or all where nobody is."""
    rows = np.stack(list(there.values()))
    return torch.from_numpy((rows | ~rows.any(0)).astype(np.float32)).unsqueeze(-1)


def _permuted(x: NDArray[Any]) -> NDArray[Any]:
    """A block half of itself later."""
    return np.roll(x, len(x) // 2, axis=0)


def decoding_losses(reader: Reader, progress: Progress = silent) -> dict[str, dict[str, float]]:
    """Mean relative test loss of each modality under each condition, over people: `{modality: {condition: loss}}`."""
    sums: dict[str, dict[str, list[float]]] = {
        n.name: {c: [] for c in CONDITIONS} for n in reader.nets if n.name in reader.model.outputs
    }
    everybody = [(i, block, s) for i, block in reader.places() for s in reader.measured(i, block)]
    for done, (i, block, subject) in enumerate(everybody):
        progress("decode test blocks", done, len(everybody))
        for condition in CONDITIONS:
            there = reader.there(condition, i, block, subject)
            draws = reader.config.evaluate.noise_draws if condition in NOISE_POWER else 1
            for draw in range(draws):
                z = reader.latent(condition, i, block, subject, draw)
                for name, loss in reader.losses_of(z, i, block, there).items():
                    sums[name][condition] += loss.tolist()
    progress("decode test blocks", len(everybody), len(everybody))
    return {n: {c: float(np.mean(v)) if v else float("nan") for c, v in by.items()} for n, by in sums.items()}
