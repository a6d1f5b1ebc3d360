"""What a closed form has to go by: the designs of everybody's scans on blocks of some purposes, and those scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, cleaned
from giblet.model.encoding import DELAYS_S
from giblet.training.evidence import Design, Mask, Rows, Single
from giblet.training.likeness import likened
from giblet.training.small_matrices import MOST_TRS, evenly
from giblet.types import Int

MOST_VOXELS = 4096
"""So many voxels are looked at at once; and so many, evenly spaced, say how common a prior is."""


class Designs:
    """Everybody's scans, and what their weights meet: features under the response, as late as a person is.

    Rows are the TRs of blocks of some purposes, `labels`. Features are those of the encoding as it is: who changes it
    calls `renew`.
    """

    features: list[Tensor]
    """What the TRs of each run are like, modalities side by side, [T, Q]."""

    def __init__(
        self, model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label]
    ) -> None:
        assert model.encoding is not None
        self.encoding, self.subjects, self.timelines, self.labels = model.encoding, model.subjects, timelines, labels
        self.codes = codes
        self.renew()

    def renew(self) -> None:
        """Make features anew, by what the encoding now has learned of likeness."""
        each = (likened(self.encoding.likeness, self.codes, i) for i in range(len(self.timelines)))
        self.features = [torch.cat(list(run.values()), -1) for run in each]

    def some_voxels(self, person: int) -> Int:
        """Voxels that stand for all of a person's: all, or `MOST_VOXELS`, evenly spaced."""
        return evenly(self.encoding.voxels(person), MOST_VOXELS)

    def of(self, people: Sequence[int], correlation: float) -> Design:
        """The design of the mean scan of some people."""
        return Design.of(self._rows(people), correlation, len(DELAYS_S) * self.encoding.width)

    def in_run(self, run: int, person: int, late_s: float | None = None) -> Single:
        """What a person's weights meet in a run, rid of what cleaning took out of their scan, [T, R, Q]."""
        late_s = float(self.encoding.get_buffer("late_s")[person]) if late_s is None else late_s
        rows = self.encoding.delay(self.features[run][None], late_s)[0]
        rows = cleaned(rows, self.timelines[run], self.subjects[person])
        return rows.cpu().numpy().reshape(len(rows), len(DELAYS_S), -1)

    def some_rows(self, person: int) -> Single:
        """What a person's weights meet at some TRs of all blocks, evenly spaced, [n, R Q]."""
        places = [(i, tr) for i, t in enumerate(self.timelines) for tr in t.trs(*self.labels).tolist()]
        kept = evenly(len(places), MOST_TRS)
        designs = [self.in_run(i, person) for i in range(len(self.timelines))]
        return np.stack([designs[i][tr].ravel() for i, tr in (places[k] for k in kept)])

    def measured(self, person: int, *labels: Label) -> Iterator[tuple[int, Int, Single]]:
        """Runs, a person's measured TRs in their blocks of these purposes [n], and the scan of all TRs [T, V]."""
        for i, line in enumerate(self.timelines):
            subject, trs = self.subjects[person], line.trs(*labels)
            if subject in line.scans and len(trs := trs[line.scanned[subject][trs]]):
                yield i, trs, line.scans[subject]

    def scans(self, people: Sequence[int], voxels: Int) -> Iterator[tuple[Single, Mask]]:
        """Some voxels of each one's scan, and which TRs were measured, block by block."""
        for subject in (self.subjects[k] for k in people):
            for line in (t for t in self.timelines if subject in t.scans):
                for block in line.of(*self.labels):
                    yield line.scans[subject][block.trs][:, voxels], line.scanned[subject][block.trs]

    def _rows(self, people: Sequence[int]) -> Iterator[Rows]:
        """The mean over those of some people who were measured, and of their designs, block by block."""
        for i, line in enumerate(self.timelines):
            there = [k for k in people if self.subjects[k] in line.scans]
            designs = {k: self.in_run(i, k) for k in there}
            for block in line.of(*self.labels) if there else []:
                mine = {k: line.scanned[self.subjects[k]][block.trs].astype(np.float32) for k in there}
                count = np.asarray(np.sum(list(mine.values()), 0), np.float64)
                share = {k: (m / np.maximum(count, 1)).astype(np.float32) for k, m in mine.items()}
                x = sum(designs[k][block.trs] * share[k][:, None, None] for k in there)
                scans = [(line.scans[self.subjects[k]][block.trs], share[k][:, None]) for k in there]
                yield Rows(np.asarray(x), partial(_mean, scans), count)


def _mean(scans: Sequence[tuple[Single, Single]], voxels: Int) -> Single:
    """Of some voxels of scans [n, V], each with its weights [n, 1]."""
    total = np.zeros((len(scans[0][0]), len(voxels)), np.float32)
    for scan, share in scans:
        total += scan[:, voxels] * share
    return total
