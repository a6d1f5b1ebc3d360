"""Stage (a): each modality's encoder and decoder learn to give one TR of features back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import DataError
from giblet.model import ModalityNets, RelativeLoss, placed
from giblet.nn import augmented
from giblet.training.recompute import through
from giblet.training.share import WHOLE, Share
from giblet.types import Aligned, Int


def training_parts(timelines: Sequence[Timeline], name: str, label: Any = "train") -> list[tuple[Aligned, Int]]:
    """Where a modality is there in blocks of one purpose: aligned features and TRs, run by run."""
    parts = []
    for t in timelines:
        aligned, trs = t.aligned[name], t.trs(label)
        parts.append((aligned, trs[aligned.valid[trs]]))
    return parts


def places(parts: Sequence[tuple[Aligned, Int]]) -> list[tuple[Aligned, int]]:
    """Every TR of some parts."""
    return [(aligned, int(t)) for aligned, trs in parts for t in trs]


class FrontEndTask:
    """One modality's autoencoder on single TRs, 16 shuffled training TRs a step."""

    def __init__(
        self, nets: ModalityNets, loss: RelativeLoss, timelines: Sequence[Timeline], config: RunConfig
    ) -> None:
        self.name, self.nets, self.relative, self.config = f"front-end {nets.kind}", nets, loss, config.train
        self.batch, self.seed = config.train.front_end_batch, config.seed
        self.module = nn.ModuleDict({"encoder": nets.encoder, "decoder": nets.decoder})
        self.index, self.held = (places(training_parts(timelines, nets.name, x)) for x in ("train", "validation"))
        for label, found in (("training", self.index), ("validation", self.held)):
            if not found:
                raise DataError(f"{nets.name} is missing in every {label} TR; leave it out with --{nets.kind} none")

    @property
    def networks(self) -> list[nn.Module]:
        """All that a step passes through."""
        return [self.module]

    @property
    def units(self) -> list[nn.Module]:
        """What weights may be gathered for one after the other."""
        return [self.nets.encoder, self.nets.decoder]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, lightly decayed."""
        return [{"params": list(self.module.parameters()), "weight_decay": self.config.front_end_decay}]

    def _read(self, places: Sequence[tuple[Aligned, int]]) -> tuple[Tensor, Tensor]:
        """Some TRs, [n, F, *S], and which of their frames are there, [n, F]."""
        rows = [aligned.rows(np.array([t]), self.nets.spec.frames) for aligned, t in places]
        x, mask = (placed(np.concatenate(parts), self.nets.decoder) for parts in zip(*rows, strict=True))
        return x, mask

    def _batch(self, step: int) -> list[tuple[Aligned, int]]:
        """The TRs of one step: the training TRs are gone through in an order that changes from round to round."""
        per_epoch = max(1, len(self.index) // self.batch)
        epoch, k = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.index))
        return [self.index[i] for i in order[k * self.batch : (k + 1) * self.batch]]

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """Relative loss of a random batch of training TRs; what the encoder sees is augmented, its target is not.

        Augmentation draws for the whole batch, whose spread it needs: then every share reads all of it.
        """
        chosen, strength = self._batch(step), self.config.augment
        mine, weight = share.rows(len(chosen))
        x, mask = self._read(chosen if strength else [chosen[i] for i in mine])
        shown, seen = augmented(x, mask, self.nets.spec, strength)
        if strength:
            x, mask, shown, seen = x[mine], mask[mine], shown[mine], seen[mine]
        with share.holding(mine, len(chosen)):
            code = through(self.nets.encoder, shown, seen, again=self.config.recompute)
            made = through(self.nets.decoder, code, again=self.config.recompute)
        return weight * self.relative(made, x, mask, frames_of(chosen, self.nets.spec.frames))

    def validate(self, share: Share = WHOLE) -> float:
        """Relative loss on the validation TRs; a share's part of it."""
        total, mine = 0.0, [self.held[i] for i in share.of(len(self.held))]
        most = -(-len(self.held) // share.count)
        for start in range(0, most, self.batch):  # as often in every process, which may have to gather weights
            there = mine[start : start + self.batch]
            x, mask = self._read(there or self.held[:1])
            score = self.relative(self.nets.decoder(self.nets.encoder(x, mask)), x, mask, 1.0)
            total += float(score) * bool(there)
        return total / frames_of(self.held, self.nets.spec.frames)


def frames_of(places: Sequence[tuple[Aligned, int]], most: int) -> float:
    """How many frames some TRs have together, of each no more than `most`; at least 1."""
    return float(max(1, sum(min(int(aligned.count[t]), most) for aligned, t in places)))
