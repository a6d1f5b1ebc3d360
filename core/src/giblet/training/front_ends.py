"""Stage (a): each modality's encoder and decoder learn to give one TR of features back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import DataError
from giblet.model import ModalityNets, RelativeLoss
from giblet.nn import augmented
from giblet.types import Aligned, Int


def training_parts(timelines: Sequence[Timeline], name: str, label: Any = "train") -> list[tuple[Aligned, Int]]:
    """Where a modality is there in blocks of one purpose: aligned features and TRs, run by run."""
    parts = []
    for t in timelines:
        aligned, trs = t.aligned[name], t.trs(label)
        parts.append((aligned, trs[aligned.valid[trs]]))
    return parts


class FrontEndTask:
    """One modality's autoencoder on single TRs, 16 shuffled training TRs a step."""

    def __init__(
        self, nets: ModalityNets, loss: RelativeLoss, timelines: Sequence[Timeline], config: RunConfig
    ) -> None:
        self.name, self.nets, self.relative, self.config = f"front-end {nets.kind}", nets, loss, config.train
        self.batch, self.seed = config.train.front_end_batch, config.seed
        self.module = nn.ModuleDict({"encoder": nets.encoder, "decoder": nets.decoder})
        self.train_parts = training_parts(timelines, nets.name)
        self.validation_parts = training_parts(timelines, nets.name, "validation")
        for label, parts in (("training", self.train_parts), ("validation", self.validation_parts)):
            if not any(len(trs) for _, trs in parts):
                raise DataError(f"{nets.name} is missing in every {label} TR; leave it out with --{nets.kind} none")
        self.index = [(i, int(t)) for i, (_, trs) in enumerate(self.train_parts) for t in trs]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, lightly decayed."""
        return [{"params": list(self.module.parameters()), "weight_decay": self.config.front_end_decay}]

    def _read(self, parts: list[tuple[Aligned, Int]], part: int, trs: Int) -> tuple[Tensor, Tensor]:
        values, mask = parts[part][0].rows(trs, self.nets.spec.frames)
        return torch.from_numpy(values), torch.from_numpy(mask)

    def loss(self, step: int) -> Tensor:
        """Relative loss of a random batch of training TRs; what the encoder sees is augmented, its target is not."""
        per_epoch = max(1, len(self.index) // self.batch)
        epoch, k = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.index))
        chosen = [self.index[i] for i in order[k * self.batch : (k + 1) * self.batch]]
        rows = [self._read(self.train_parts, i, torch.tensor([t]).numpy()) for i, t in chosen]
        x, mask = torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])
        code = self.nets.encoder(*augmented(x, mask, self.nets.spec, self.config.augment))
        return self.relative(self.nets.decoder(code), x, mask)

    def validate(self) -> float:
        """Relative loss on the validation TRs."""
        total = n = 0.0
        for i, (_, trs) in enumerate(self.validation_parts):
            for start in range(0, len(trs), self.batch):
                x, mask = self._read(self.validation_parts, i, trs[start : start + self.batch])
                weight = float(mask.sum())
                total += float(self.relative(self.nets.decoder(self.nets.encoder(x, mask)), x, mask)) * weight
                n += weight
        return total / max(n, 1.0)
