"""Fitting scans in closed form: what people share and what is their own, each as late as they respond."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, cleaned
from giblet.model.encoding import DELAYS_S, FEATURES, Likeness
from giblet.training import relevance
from giblet.training.evidence import (
    SCALES,
    Candidate,
    Design,
    Mask,
    Prior,
    Real,
    Rows,
    Single,
    Turned,
    autocorrelation,
    shares,
)
from giblet.training.likeness import WIDTH, fit_likeness, likened
from giblet.training.small_matrices import FAINT, MOST_TRS, evenly
from giblet.types import Int

LATE_S = np.arange(-2.5, 2.51, 0.5)
"""How much later than the others a person may be."""
MOST_VOXELS = 4096
"""So many voxels are looked at at once; and so many, evenly spaced, say how common a prior is."""
ROUNDS, TELLING = 2, 512
"""So often people's delays are found, from so many voxels: those of which most is known."""
Weights = Callable[[float], Single]
"""By how much is a person's own: weights of some voxels, [R Q, V]."""


@dataclass(frozen=True)
class Group:
    """People whose voxels are the same places, the designs of their mean scan, and how common priors are there."""

    people: Sequence[int]
    voxels: int
    design: Design
    prior: Prior
    turned: Sequence[Turned]

    @property
    def some(self) -> Int:
        """Voxels that stand for all: all, or `MOST_VOXELS`, evenly spaced."""
        return evenly(self.voxels, MOST_VOXELS)

    @property
    def slabs(self) -> list[Int]:
        """All voxels, `MOST_VOXELS` at once."""
        return [np.arange(at, min(at + MOST_VOXELS, self.voxels)) for at in range(0, self.voxels, MOST_VOXELS)]


class EncodingFit:
    """Everybody's scans on blocks of some purposes, fitted as far as all people and voxels have a say in it.

    The prior of a voxel's weights is normal. Its variance, how that is shared out among modalities, and how late the
    voxel is are as the evidence has it (the marginal likelihood: MacKay 1992, doi:10.1162/neco.1992.4.3.415). Where
    people share voxels, their mean is fitted first, each as late as they are; then what each one's residuals say, under
    the same prior times `own`.
    """

    def __init__(
        self, model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label]
    ) -> None:
        assert model.encoding is not None
        self.encoding, self.subjects, self.timelines, self.labels = model.encoding, model.subjects, timelines, labels
        everybody = range(len(self.subjects))
        together = [list(everybody)] if model.heads.shared is not None else [[k] for k in everybody]
        learned = relevance.told(sum(self._voxels(people) for people in together))
        width = relevance.WIDTH if learned else WIDTH
        fit_likeness(self.encoding.likeness, codes, timelines, labels, width)
        self.codes = codes
        self.features = self._features()
        self.encoding.get_buffer("delay_s").zero_()
        self.groups = [self._group(people) for people in together]
        for _ in range(relevance.ROUNDS if learned else 0):
            self._turn(learned)
            self.groups = [self._fitted(g.people, g.design.correlation) for g in self.groups]
        self.own = {k: self._own(k, g) for g in self.groups if len(g.people) > 1 for k in g.people}

    def weights(self, group: Group, voxels: Int) -> Iterator[tuple[int, Weights]]:
        """Weights of each person of a group: what all share, and what the person's residuals say beside."""
        sums = group.design.sums(voxels)
        share = group.prior.share(group.turned, sums)
        shared = group.prior.weights(group.turned, share, sums)
        for k in group.people:
            yield k, self._weights(k, group, voxels, share, shared)

    def _weights(self, person: int, group: Group, voxels: Int, share: Single, shared: Single) -> Weights:
        if person not in self.own:
            return lambda own: shared
        design, turned = self.own[person]
        left = design.sums(voxels)
        left.xy[:] -= design.xx.astype(np.float32) @ shared
        people = max(group.design.people, 1.0)
        return lambda own: shared + group.prior.weights(turned, share, left, SCALES * own / people) if own else shared

    def _features(self) -> list[Tensor]:
        """What the TRs of each run are like, modalities side by side, [T, Q]."""
        each = (likened(self.encoding.likeness, self.codes, i) for i in range(len(self.timelines)))
        return [torch.cat(list(run.values()), -1) for run in each]

    def _turn(self, learned: float) -> None:
        """Make directions of features as large as the voxels of all people weigh them."""
        parts = (len(DELAYS_S), len(self.encoding.likeness), FEATURES, -1)
        found = np.sum([relevance.alike(self._shared(g).reshape(parts)) for g in self.groups], axis=0)
        rows = torch.cat([f[t.trs(*self.labels)] for f, t in zip(self.features, self.timelines, strict=True)])
        each = zip(self.encoding.likeness.values(), found, rows.split(FEATURES, -1), strict=True)
        for like, together, mine in each:
            assert isinstance(like, Likeness)
            relevance.turn_to(like, relevance.square_root(together, learned), mine)
        self.features = self._features()

    def _shared(self, group: Group) -> Single:
        """What people of a group share of the weights of some voxels, [R Q, V]."""
        sums = group.design.sums(group.some)
        return group.prior.weights(group.turned, group.prior.share(group.turned, sums), sums)

    def _voxels(self, people: Sequence[int]) -> int:
        return int(self.encoding.get_buffer(f"voxels_{people[0]}").shape[1])

    def _group(self, people: Sequence[int]) -> Group:
        """What the mean scan of some people says, once it is known how late each of them is."""
        n, some = len(self.encoding.likeness), evenly(self._voxels(people), MOST_VOXELS)
        correlation = autocorrelation(self._scans(people, some))
        for _ in range(ROUNDS if len(people) > 1 else 0):
            design = self._design(people, correlation)
            sums = design.sums(some)
            prior = Prior.of(_candidates([np.full(n, 1 / n)]), design, sums)
            turned = prior.turned(design)
            weights = prior.weights(turned, prior.share(turned, sums), sums)
            explained = (weights * sums.xy).sum(0) / np.maximum(sums.yy, np.finfo(float).tiny)
            telling = np.argsort(explained)[-TELLING:]
            late = np.array([self._late(k, some[telling], weights[:, telling]) for k in people])
            if np.isfinite(late).any():
                self.encoding.put("delay_s", torch.from_numpy(np.nan_to_num(late - np.nanmean(late))))
        return self._fitted(people, correlation)

    def _fitted(self, people: Sequence[int], correlation: float) -> Group:
        """The same, of people of whom it is known."""
        voxels, design = self._voxels(people), self._design(people, correlation)
        candidates = _candidates(list(shares(len(self.encoding.likeness))))
        prior = Prior.of(candidates, design, design.sums(evenly(voxels, MOST_VOXELS)))
        return Group(people, voxels, design, prior, prior.turned(design))

    def _own(self, person: int, group: Group) -> tuple[Design, Sequence[Turned]]:
        design = self._design([person], group.design.correlation)
        return design, group.prior.turned(design)

    def _design(self, people: Sequence[int], correlation: float) -> Design:
        return Design.of(self._rows(people), correlation, len(DELAYS_S) * self.encoding.width)

    def design(self, run: int, person: int, late_s: float | None = None) -> Single:
        """What a person's weights meet in a run, rid of what cleaning took out of their scan, [T, R, Q]."""
        late_s = float(self.encoding.get_buffer("delay_s")[person]) if late_s is None else late_s
        rows = self.encoding.delay(self.features[run][None], late_s)[0]
        rows = cleaned(rows, self.timelines[run], self.subjects[person])
        return rows.cpu().numpy().reshape(len(rows), len(DELAYS_S), -1)

    def held(self, person: int) -> Iterator[tuple[int, Int, Single]]:
        """Runs, a person's validation TRs in them [n], and their scan of all TRs [T, V]."""
        for i, line in enumerate(self.timelines):
            subject, trs = self.subjects[person], line.trs("validation")
            if subject in line.scans and len(trs := trs[line.scanned[subject][trs]]):
                yield i, trs, line.scans[subject]

    def some_design(self, person: int) -> Single:
        """What a person's weights meet at some TRs of all blocks, evenly spaced, [n, R Q]."""
        places = [(i, tr) for i, t in enumerate(self.timelines) for tr in t.trs(*self.labels).tolist()]
        kept = evenly(len(places), MOST_TRS)
        designs = [self.design(i, person) for i in range(len(self.timelines))]
        return np.stack([designs[i][tr].ravel() for i, tr in (places[k] for k in kept)])

    def _rows(self, people: Sequence[int]) -> Iterator[Rows]:
        """The mean over those of some people who were measured, and of their designs, block by block."""
        for i, line in enumerate(self.timelines):
            there = [k for k in people if self.subjects[k] in line.scans]
            designs = {k: self.design(i, k) for k in there}
            for block in line.of(*self.labels) if there else []:
                mine = {k: line.scanned[self.subjects[k]][block.trs].astype(np.float32) for k in there}
                count = np.asarray(np.sum(list(mine.values()), 0), np.float64)
                share = {k: (m / np.maximum(count, 1)).astype(np.float32) for k, m in mine.items()}
                x = sum(designs[k][block.trs] * share[k][:, None, None] for k in there)
                scans = [(line.scans[self.subjects[k]][block.trs], share[k][:, None]) for k in there]
                yield Rows(np.asarray(x), partial(_mean, scans), count)

    def _scans(self, people: Sequence[int], voxels: Int) -> Iterator[tuple[Single, Mask]]:
        """Some voxels of each one's scan, and which TRs were measured, block by block."""
        for subject in (self.subjects[k] for k in people):
            for line in (t for t in self.timelines if subject in t.scans):
                for block in line.of(*self.labels):
                    yield line.scans[subject][block.trs][:, voxels], line.scanned[subject][block.trs]

    def _late(self, person: int, voxels: Int, weights: Single) -> float:
        """How much later than the others a person is: where the common prediction leaves least of their scan.

        NaN where nothing of it was measured, or nothing is predicted.
        """
        subject, error = self.subjects[person], np.zeros(len(LATE_S))
        for i, line in enumerate(self.timelines):
            trs = line.trs(*self.labels)
            if subject not in line.scans or not len(trs := trs[line.scanned[subject][trs]]):
                continue
            scan = np.stack([line.scans[subject][tr][voxels] for tr in trs])
            for j, late in enumerate(LATE_S):
                guess = self.design(i, person, float(late))[trs].reshape(len(trs), -1) @ weights
                error[j] += np.square(scan - guess, dtype=np.float64).sum()
        return lowest(LATE_S, error) if np.ptp(error) > FAINT * error.max() else np.nan


def _candidates(divisions: Sequence[Real]) -> list[Candidate]:
    """Priors that divide their variance so among modalities, at each delay."""
    return [Candidate(r, np.repeat(d, FEATURES)) for r in range(len(DELAYS_S)) for d in divisions]


def _mean(scans: Sequence[tuple[Single, Single]], voxels: Int) -> Single:
    """Of some voxels of scans [n, V], each with its weights [n, 1]."""
    total = np.zeros((len(scans[0][0]), len(voxels)), np.float32)
    for scan, share in scans:
        total += scan[:, voxels] * share
    return total


def lowest(at: Real, values: Real) -> float:
    """Where a parabola through the lowest of some values and its neighbours is lowest."""
    j = int(np.clip(np.argmin(values), 1, len(at) - 2))
    before, here, after = values[j - 1 : j + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(at[j] + np.clip(step, -1, 1) * (at[1] - at[0]))
