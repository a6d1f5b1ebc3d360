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
from giblet.training.batch import FrontEndBatch
from giblet.training.drawing import frames_of, read_trs
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

    def _batch(self, step: int) -> list[tuple[Aligned, int]]:
        """The TRs of one step: the training TRs are gone through in an order that changes from round to round."""
        per_epoch = max(1, len(self.index) // self.batch)
        epoch, k = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.index))
        return [self.index[i] for i in order[k * self.batch : (k + 1) * self.batch]]

    def read(self, step: int, share: Share = WHOLE) -> FrontEndBatch:
        """A random batch of training TRs; a share of it, unless augmentation needs the spread of the whole."""
        chosen, most = self._batch(step), self.nets.spec.frames
        rows = share.rows(len(chosen))
        shown = chosen if self.config.augment else [chosen[i] for i in rows.mine]
        return FrontEndBatch(read_trs(shown, most, frames_of(chosen, most)), rows)

    def loss(self, batch: FrontEndBatch) -> Tensor:
        """Relative loss of a batch; what the encoder sees is augmented, its target is not."""
        trs, rows = batch.trs, batch.rows
        x, mask = placed(trs.x, self.nets.decoder), placed(trs.mask, self.nets.decoder)
        shown, seen = augmented(x, mask, self.nets.spec, self.config.augment)
        if self.config.augment:
            x, mask, shown, seen = (a[rows.mine] for a in (x, mask, shown, seen))
        with rows.passing():
            code = through(self.nets.encoder, shown, seen, again=self.config.recompute)
            made = through(self.nets.decoder, code, again=self.config.recompute)
        return rows.weight * self.relative(made, x, mask, trs.frames)

    def validate(self, share: Share = WHOLE) -> float:
        """Relative loss on the validation TRs; a share's part of it."""
        total, mine = 0.0, [self.held[i] for i in share.of(len(self.held))]
        most = -(-len(self.held) // share.count)
        for start in range(0, most, self.batch):  # as often in every process, which may have to gather weights
            there = mine[start : start + self.batch]
            trs = read_trs(there or self.held[:1], self.nets.spec.frames, 1.0)
            x, mask = placed(trs.x, self.nets.decoder), placed(trs.mask, self.nets.decoder)
            score = self.relative(self.nets.decoder(self.nets.encoder(x, mask)), x, mask, 1.0)
            total += float(score) * bool(there)
        return total / frames_of(self.held, self.nets.spec.frames)
