"""Stage (b): codes to everybody's BOLD, on windows of training blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, Window, cover_windows, draw_windows
from giblet.data.split import Block, Label
from giblet.model import Autoencoder, Codes, Counted, bold_loss, person_drive, placed, predict_block, run_drive
from giblet.training.batch import MeasuredWindows, TrunkBatch
from giblet.training.drawing import measured, rows_of, scanned
from giblet.training.share import WHOLE, Share

OWN_HEAD_RATE = 0.1
"""Where a shared head carries what people have in common, their own heads learn the difference this much slower."""
DELAY_RATE = 20.0
"""People's delays learn this much faster: 0.01 TR a step at most, with the default rate of the trunk."""
BOLD_CONSTANT = 2.0
"""What a constant scores in the loss of BOLD: 1 of squared error and 1 of 1 - r."""
FEW_TRS, FEW_STEPS, MORE_STEPS = 512, 100, 200
"""Up to so many training TRs, so many steps of the trunk; and as many more for every so many TRs beyond.

What they are worth is in docs/explanation/method.md.
"""


def most_steps(timelines: Sequence[Timeline], config: RunConfig) -> int:
    """Most steps of the trunk: those of the config, else as many as the training TRs ask for.

    The learning rate falls over these steps: too few leave what more data could teach, too many overfit few data.
    """
    beyond = max(0, sum(len(line.trs("train")) for line in timelines) - FEW_TRS)
    return config.train.trunk_steps or FEW_STEPS + round(MORE_STEPS * beyond / FEW_TRS)


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

    def read(self, step: int, share: Share = WHOLE) -> TrunkBatch:
        """Windows of a step, what each run goes without, and the BOLD of the people drawn in a share of the windows."""
        rng = np.random.default_rng([self.config.seed, step, 1])
        windows = self._windows(rng)
        runs = sorted({w.timeline for w in windows})
        left_out = {i: self._left_out(rng) for i in runs}
        there = [k for k, s in enumerate(self.module.subjects) if any(s in self.timelines[i].scans for i in runs)]
        rows = share.rows(len(windows))
        own, people = [windows[i] for i in rows.mine], []
        for k in map(int, rng.permutation(there)[: self.config.train.subjects]):
            valid = scanned(self.timelines, windows, self.module.subjects[k])
            if valid.any():
                y = measured(self.timelines, own, self.module.subjects[k])
                people.append(MeasuredWindows(k, y, valid[rows.mine], Counted.of(valid)))
        trs = [len(self.codes.present[i][self.module.names[0]]) for i in runs]
        begin = dict(zip(runs, accumulate(trs, initial=0), strict=False))
        return TrunkBatch(left_out, rows_of(own, begin), rows, people)

    def loss(self, batch: TrunkBatch) -> Tensor:
        """BOLD loss of a batch of windows, averaged over the people drawn; a share computes heads for its windows."""
        drives = {i: run_drive(self.module, self.codes, i, names) for i, names in batch.left_out.items()}
        places, losses = placed(batch.places, self.module), []
        for person in batch.people:
            k = person.subject
            late = torch.cat([person_drive(self.module, d, self.timelines[i], k) for i, d in drives.items()])
            drive = late.index_select(0, places.flatten()).unflatten(0, places.shape)
            y, valid = placed(person.y, self.module), placed(person.valid, self.module)
            with batch.rows.passing():
                guess = self.module.net(drive, k)
            losses.append(bold_loss(guess, y, valid, person.counted))
        nothing = 0.0 * next(iter(drives.values())).sum()
        return batch.rows.weight * torch.stack(losses or [nothing]).mean()

    def validate(self, share: Share = WHOLE) -> float:
        """The BOLD loss on the validation blocks, averaged over who was measured there; a share's part of it.

        Where nobody was, what a constant scores.
        """
        self.module.eval()
        scores = [
            self._score(drive, t, s, block)
            for i, t in enumerate(self.timelines)
            if t.of("validation")
            for drive in [run_drive(self.module, self.codes, i).detach()]
            for block in t.of("validation")
            for s in t.measured(block)
        ]
        return float(np.mean(scores or [BOLD_CONSTANT])) / share.count

    def _score(self, drive: Tensor, t: Timeline, subject: str, block: Block) -> float:
        """The BOLD loss of a person on a block of a run."""
        guess = predict_block(self.module, drive, t, subject, block)
        measured_there = np.array(t.scans[subject][block.trs]), t.scanned[subject][block.trs]
        prediction, y, valid = (torch.from_numpy(x[None]) for x in (guess, *measured_there))
        return float(bold_loss(prediction, y, valid))
