"""Stage (b): codes to everybody's BOLD, on windows of training blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, Window, cover_windows, draw_windows
from giblet.data.split import Block, Label
from giblet.model import Autoencoder, Codes, Counted, bold_loss, person_drive, placed, predict_block, run_drive
from giblet.training.share import WHOLE, Share

OWN_HEAD_RATE = 0.1
"""Where a shared head carries what people have in common, their own heads learn the difference this much slower."""
DELAY_RATE = 20.0
"""People's delays learn this much faster: 0.01 TR a step at most, with the default rate of the trunk."""


class TrunkTask:
    """Adapters, hemodynamics and forward heads, trained on the BOLD of blocks of some purposes.

    What the heads read is made for whole runs, so that kernels see the film before a window and drifts can be taken
    out of whole blocks; only the heads, where the voxels are, are bounded to windows.
    """

    def __init__(
        self,
        model: Autoencoder,
        codes: Codes,
        timelines: Sequence[Timeline],
        config: RunConfig,
        labels: Sequence[Label] = ("train",),
        name: str = "trunk",
    ) -> None:
        self.module, self.codes, self.timelines, self.config = model, codes, list(timelines), config
        self.labels, self.name = labels, name

    @property
    def networks(self) -> list[nn.Module]:
        """All that a step passes through."""
        return [self.module]

    @property
    def units(self) -> list[nn.Module]:
        """Everybody's forward heads, where the voxels are; all processes go through the people in the same order."""
        heads = self.module.heads
        return [*heads.own, *([heads.shared] if heads.shared else [])]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """People's own heads decay most; what kernels learned decays to their prior; delays do not decay."""
        m, t = self.module, self.config.train
        common = list(m.heads.shared.parameters()) if m.heads.shared else []
        shared = [*m.adapters.parameters(), *m.middle.parameters(), *(m.direct.parameters() if m.direct else [])]
        own = {"params": list(m.heads.own.parameters()), "weight_decay": t.head_weight_decay}
        delays = {"params": list(m.delays.parameters()) if m.delays else [], "weight_decay": 0.0}
        return [
            {"params": [*shared, *common, *m.hemodynamics.parameters()], "weight_decay": t.weight_decay},
            own | {"lr": t.trunk_lr * (OWN_HEAD_RATE if m.heads.shared else 1.0)},
            delays | {"lr": t.trunk_lr * DELAY_RATE},
        ]

    def _windows(self, rng: np.random.Generator) -> list[Window]:
        """All training TRs where a step can hold them, else windows drawn from them."""
        t = self.config.train
        if sum(len(line.trs(*self.labels)) for line in self.timelines) <= t.windows * t.window_trs:
            return cover_windows(self.timelines, rng, t.window_trs, self.labels)
        return draw_windows(self.timelines, rng, t.windows, t.window_trs, 0, 0, self.labels)

    def _left_out(self, rng: np.random.Generator) -> list[str]:
        """The modalities that a step goes without; at least one stays."""
        names = self.module.names
        kept = names[int(rng.integers(len(names)))]
        return [n for n in names if rng.random() < self.config.model.modality_dropout and n != kept]

    def loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """BOLD loss of a batch of windows, averaged over the people drawn; a share computes heads for its windows."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        windows = self._windows(rng)
        runs = sorted({w.timeline for w in windows})
        drives = {i: run_drive(self.module, self.codes, i, self._left_out(rng)) for i in runs}
        there = [k for k, s in enumerate(self.module.subjects) if any(s in self.timelines[i].scans for i in runs)]
        mine, weight = share.rows(len(windows))
        own, losses = [windows[i] for i in mine], []
        begin = {i: sum(len(drives[j]) for j in runs if j < i) for i in runs}
        places = placed(np.stack([begin[w.timeline] + w.rows for w in own]), self.module)
        for k in map(int, rng.permutation(there)[: self.config.train.subjects]):
            valid = scanned(self.timelines, windows, self.module.subjects[k])
            if valid.any():
                late = torch.cat([person_drive(self.module, drives[i], self.timelines[i], k) for i in runs])
                drive = late.index_select(0, places.flatten()).unflatten(0, places.shape)
                y = placed(measured(self.timelines, own, self.module.subjects[k]), self.module)
                with share.holding(mine, len(windows)):
                    guess = self.module.brain(drive, k)
                losses.append(bold_loss(guess, y, placed(valid[mine], self.module), Counted.of(valid)))
        return weight * torch.stack(losses or [0.0 * drives[runs[0]].sum()]).mean()

    def validate(self, share: Share = WHOLE) -> float:
        """The BOLD loss on the validation blocks, averaged over people; a share's part of it."""
        self.module.eval()
        scores = [
            self._score(drive, t, s, block)
            for i, t in enumerate(self.timelines)
            if t.of("validation")
            for drive in [run_drive(self.module, self.codes, i).detach()]
            for block in t.of("validation")
            for s in t.scans
        ]
        return float(np.mean(scores)) / share.count

    def _score(self, drive: Tensor, t: Timeline, subject: str, block: Block) -> float:
        """The BOLD loss of a person on a block of a run."""
        guess = predict_block(self.module, drive, t, subject, block)
        measured_there = np.array(t.scans[subject][block.trs]), t.scanned[subject][block.trs]
        prediction, y, valid = (torch.from_numpy(x[None]) for x in (guess, *measured_there))
        return float(bold_loss(prediction, y, valid))


def scanned(timelines: Sequence[Timeline], windows: Sequence[Window], subject: str) -> NDArray[np.bool_]:
    """Which rows of some windows count for a person, [B, L]."""
    valid = np.zeros((len(windows), len(windows[0].rows)), bool)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            valid[i] = w.supervised & t.scanned[subject][w.rows]
    return valid


def measured(timelines: Sequence[Timeline], windows: Sequence[Window], subject: str) -> NDArray[np.float32]:
    """A person's BOLD in some windows, [B, L, V]; zeros where there is none."""
    voxels = next(t.scans[subject].shape[1] for t in timelines if subject in t.scans)
    y = np.zeros((len(windows), len(windows[0].rows), voxels), np.float32)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            y[i] = t.scans[subject][w.rows]
    return y
