"""Fitting scans in closed form: what people share and what is their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes
from giblet.model.encoding import DELAYS_S, FEATURES, Likeness
from giblet.training import relevance
from giblet.training.designs import MOST_VOXELS, Designs
from giblet.training.evidence import SCALES, Design, Prior, Single, Turned, autocorrelation, candidates, shares
from giblet.training.lateness import find_all_delays
from giblet.training.likeness import WIDTH, fit_likeness
from giblet.training.small_matrices import evenly
from giblet.types import Int

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
        self.encoding = model.encoding
        self.encoding.get_buffer("late_s").zero_()
        everybody = range(len(model.subjects))
        together = [list(everybody)] if model.heads.shared is not None else [[k] for k in everybody]
        learned = relevance.told(sum(self.encoding.voxels(people[0]) for people in together))
        fit_likeness(self.encoding.likeness, codes, timelines, labels, relevance.WIDTH if learned else WIDTH)
        self.designs = Designs(model, codes, timelines, labels)
        noise = [autocorrelation(self.designs.scans(p, self.designs.some_voxels(p[0]))) for p in together]
        find_all_delays(self.designs, together, noise)
        self.groups = [self._fitted(p, correlation) for p, correlation in zip(together, noise, strict=True)]
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

    def _turn(self, learned: float) -> None:
        """Make directions of features as large as the voxels of all people weigh them."""
        designs, parts = self.designs, (len(DELAYS_S), len(self.encoding.likeness), FEATURES, -1)
        found = np.sum([relevance.alike(_shared(g).reshape(parts)) for g in self.groups], axis=0)
        each_run = zip(designs.features, designs.timelines, strict=True)
        rows = torch.cat([f[t.trs(*designs.labels)] for f, t in each_run])
        each = zip(self.encoding.likeness.values(), found, rows.split(FEATURES, -1), strict=True)
        for like, together, mine in each:
            assert isinstance(like, Likeness)
            relevance.turn_to(like, relevance.square_root(together, learned), mine)
        designs.renew()

    def _fitted(self, people: Sequence[int], correlation: float) -> Group:
        """What the mean scan of some people says."""
        voxels, design = self.encoding.voxels(people[0]), self.designs.of(people, correlation)
        every = candidates(shares(len(self.encoding.likeness)))
        prior = Prior.of(every, design, design.sums(self.designs.some_voxels(people[0])))
        return Group(people, voxels, design, prior, prior.turned(design))

    def _own(self, person: int, group: Group) -> tuple[Design, Sequence[Turned]]:
        design = self.designs.of([person], group.design.correlation)
        return design, group.prior.turned(design)


def _shared(group: Group) -> Single:
    """What people of a group share of the weights of some voxels, [R Q, V]."""
    sums = group.design.sums(group.some)
    return group.prior.weights(group.turned, group.prior.share(group.turned, sums), sums)
