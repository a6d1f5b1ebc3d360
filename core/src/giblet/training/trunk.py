"""Stage (b): codes to everybody's BOLD, on windows of training blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, Window, draw_windows
from giblet.model import Autoencoder, Codes, bold_loss, drives

OWN_HEAD_RATE = 0.1
"""Where a shared head carries what people have in common, their own heads learn the difference this much slower."""


class TrunkTask:
    """Adapters, hemodynamics and forward heads, trained on BOLD alone."""

    name = "trunk"

    def __init__(self, model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], config: RunConfig) -> None:
        self.module, self.codes, self.timelines, self.config = model, codes, list(timelines), config
        self.context = model.hemodynamics.taps - 1

    def parameter_groups(self) -> list[dict[str, Any]]:
        """People's own heads decay most; what kernels learned decays to their prior."""
        m, t = self.module, self.config.train
        kernels = list(m.hemodynamics.parameters())
        common = list(m.heads.shared.parameters()) if m.heads.shared else []
        shared = [*m.adapters.parameters(), *(m.direct.parameters() if m.direct else [])]
        return [
            {"params": shared, "weight_decay": t.weight_decay},
            {
                "params": list(m.heads.own.parameters()),
                "weight_decay": t.head_weight_decay,
                "lr": t.trunk_lr * (OWN_HEAD_RATE if m.heads.shared else 1.0),
            },
            {"params": common, "weight_decay": t.weight_decay},
            {"params": kernels, "weight_decay": t.weight_decay},
        ]

    def _batch(
        self, windows: Sequence[Window], rng: np.random.Generator
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        h = {n: _gather(self.codes.inputs, windows, n) for n in self.module.names}
        inside = torch.from_numpy(np.stack([w.inside for w in windows]))
        keep = _modality_dropout(rng, len(windows), self.module.names, self.config.model.modality_dropout)
        present = {
            n: _gather(self.codes.present, windows, n) & inside & torch.from_numpy(keep[:, i, None])
            for i, n in enumerate(self.module.names)
        }
        return h, present

    def loss(self, step: int) -> Tensor:
        """BOLD loss of a batch of windows, averaged over the people drawn."""
        t = self.config.train
        rng = np.random.default_rng([self.config.seed, step, 1])
        windows = draw_windows(self.timelines, rng, t.windows, t.window_trs, self.context, 0)
        drive = self.module.drive(*self._batch(windows, rng))[:, self.context :]
        runs = [self.timelines[w.timeline] for w in windows]
        there = [k for k, s in enumerate(self.module.subjects) if any(s in run.scans for run in runs)]
        people = rng.permutation(there)[: t.subjects]
        losses = []
        for k in people:
            y, valid = measured(self.timelines, windows, self.module.subjects[k], self.context)
            if valid.any():
                losses.append(bold_loss(self.module.brain(drive, int(k)), y, valid))
        return torch.stack(losses).mean() if losses else 0.0 * drive.sum()

    def validate(self) -> float:
        """The BOLD loss on the validation blocks, averaged over people."""
        scores = []
        for i, t in enumerate(self.timelines):
            for block in t.of("validation"):
                drive = drives(self.module, self.codes, i)[block.start : block.stop].unsqueeze(0)
                for k, s in enumerate(self.module.subjects):
                    if s in t.scans:
                        y = torch.from_numpy(t.scans[s][block.trs]).unsqueeze(0)
                        valid = torch.from_numpy(t.scanned[s][block.trs]).unsqueeze(0)
                        scores.append(float(bold_loss(self.module.brain(drive, k), y, valid)))
        return float(np.mean(scores))


def _gather(tables: Sequence[dict[str, Any]], windows: Sequence[Window], name: str) -> Tensor:
    return torch.from_numpy(np.stack([tables[w.timeline][name][w.rows] for w in windows]))


def _modality_dropout(rng: np.random.Generator, n: int, names: Sequence[str], p: float) -> NDArray[np.bool_]:
    """Which modalities each window keeps, [n, modalities]; at least one."""
    keep = rng.random((n, len(names))) >= p
    keep[np.arange(n), rng.integers(len(names), size=n)] = True
    return keep


def measured(
    timelines: Sequence[Timeline], windows: Sequence[Window], subject: str, first: int
) -> tuple[Tensor, Tensor]:
    """A person's BOLD in some windows from row `first` on, [B, L, V], and which rows of it count, [B, L]."""
    voxels = next(t.scans[subject].shape[1] for t in timelines if subject in t.scans)
    y = np.zeros((len(windows), len(windows[0].rows) - first, voxels), np.float32)
    valid = np.zeros(y.shape[:2], bool)
    for i, w in enumerate(windows):
        t = timelines[w.timeline]
        if subject in t.scans:
            rows = w.rows[first:]
            y[i] = t.scans[subject][rows]
            valid[i] = w.supervised[first:] & t.scanned[subject][rows]
    return torch.from_numpy(y), torch.from_numpy(valid)
