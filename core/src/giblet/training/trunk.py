"""Stage (b): codes to everybody's BOLD, on windows of training blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, Window, cover_windows, draw_windows
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, bold_loss, person_drive, predict_scans, run_drive

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

    def loss(self, step: int) -> Tensor:
        """BOLD loss of a batch of windows, averaged over the people drawn."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        windows = self._windows(rng)
        runs = sorted({w.timeline for w in windows})
        drives = {i: run_drive(self.module, self.codes, i, self._left_out(rng)) for i in runs}
        there = [k for k, s in enumerate(self.module.subjects) if any(s in self.timelines[i].scans for i in runs)]
        losses = []
        for k in map(int, rng.permutation(there)[: self.config.train.subjects]):
            y, valid = measured(self.timelines, windows, self.module.subjects[k])
            if valid.any():
                mine = {i: person_drive(self.module, drives[i], self.timelines[i], k) for i in runs}
                drive = torch.stack([mine[w.timeline].index_select(0, torch.from_numpy(w.rows)) for w in windows])
                losses.append(bold_loss(self.module.brain(drive, k), y, valid))
        return torch.stack(losses or [0.0 * drives[runs[0]].sum()]).mean()

    def validate(self) -> float:
        """The BOLD loss on the validation blocks, averaged over people."""
        predicted = predict_scans(self.module, self.codes, self.timelines)
        scores = []
        for guess, t in zip(predicted, self.timelines, strict=True):
            for block in t.of("validation"):
                for s in t.scans:
                    parts = (x[s][block.trs][None] for x in (guess, t.scans, t.scanned))
                    scores.append(float(bold_loss(*map(torch.from_numpy, parts))))
        return float(np.mean(scores))


def measured(timelines: Sequence[Timeline], windows: Sequence[Window], subject: str) -> tuple[Tensor, Tensor]:
    """A person's BOLD in some windows, [B, L, V], and which rows of it count, [B, L]."""
    voxels = next(t.scans[subject].shape[1] for t in timelines if subject in t.scans)
    y = np.zeros((len(windows), len(windows[0].rows), voxels), np.float32)
    valid = np.zeros(y.shape[:2], bool)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            y[i] = t.scans[subject][w.rows]
            valid[i] = w.supervised & t.scanned[subject][w.rows]
    return torch.from_numpy(y), torch.from_numpy(valid)
