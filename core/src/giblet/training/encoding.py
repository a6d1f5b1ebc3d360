"""Fitting scans in closed form: what people share and what is their own, each as late as they respond."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.data.scratch import row_slabs
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, Scans, cleaned, placed
from giblet.model.encoding import DELAYS_S, FEATURES, RANK, Encoding
from giblet.model.shrinkage import multiples_of, products
from giblet.training.evidence import (
    MOST_VOXELS,
    SCALES,
    Candidate,
    Posterior,
    Rows,
    Single,
    Sums,
    Voxels,
    autocorrelation,
    shares,
)
from giblet.training.inversion import MOST_TRS, one_thread
from giblet.training.likeness import fit_likeness

OWN = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""How much variance weights have from person to person, as a multiple of what people share; validation chooses."""
LATE_S = np.arange(-2.5, 2.51, 0.5)
"""How much later than the others a person may be."""
FAINT = 1e-6
"""Patterns below this share of the first one's variance are none."""
ROUNDS, TELLING = 2, 512
"""So often people's delays are found, from so many voxels: those of which most is known."""


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
        fit_likeness(self.encoding, codes, timelines, labels)
        self.features = [_features(self.encoding, codes, i) for i in range(len(timelines))]
        self.encoding.get_buffer("delay_s").zero_()
        everybody = range(len(self.subjects))
        self.groups = [list(everybody)] if model.heads.shared is not None else [[k] for k in everybody]
        self.common = [self._common(group) for group in self.groups]

    def person(self, person: int, voxels: Voxels = slice(None)) -> Callable[[float], Single]:
        """Some voxels' weights [R Q, V], by `own`: those of the person's group, and what their residuals say beside."""
        group, (posterior, shared, correlation, people) = next(
            (g, c) for g, c in zip(self.groups, self.common, strict=True) if person in g
        )
        mine = shared[:, voxels]
        if len(group) == 1:
            return lambda own: mine
        sums = Sums.over((_less(rows, shared) for rows in self._rows([person])), correlation, self._sizes(person))
        left, some = sums.of(voxels), Posterior(posterior.candidates, posterior.share[..., voxels])
        turned = some.turned(left)
        return lambda own: mine + some.weights(left, turned, SCALES * own / people) if own else mine

    def _common(self, group: Sequence[int]) -> tuple[Posterior, Single, float, float]:
        """What the mean scan of a group of people says of each voxel, once it is known how late each of them is.

        The posterior, weights [R Q, V], what the noise of a TR has of the last one's, and of how many people that is.
        """
        correlation = autocorrelation(rows for k in group for rows in self._rows([k]))
        n = len(self.encoding.likeness)
        for _ in range(ROUNDS if len(group) > 1 else 0):
            _, weights, sums = self._fit(group, correlation, [np.full(n, 1 / n)])
            explained = (weights * sums.xy.reshape(weights.shape)).sum(0) / np.maximum(sums.yy, np.finfo(float).tiny)
            telling = np.argsort(explained)[-TELLING:]
            late = np.array([self._late(k, telling, weights[:, telling]) for k in group])
            if np.isfinite(late).any():
                self.encoding.put("delay_s", torch.from_numpy(np.nan_to_num(late - np.nanmean(late))))
        posterior, weights, sums = self._fit(group, correlation, list(shares(n)))
        return posterior, weights, correlation, max(sums.people, 1.0)

    def _fit(
        self, group: Sequence[int], correlation: float, divisions: Sequence[NDArray[np.float64]]
    ) -> tuple[Posterior, Single, Sums]:
        """The mean scan of a group, by priors that divide their variance so: weights, and what they come from."""
        sums = Sums.over(self._rows(group), correlation, self._sizes(group[0]))
        candidates = [Candidate(r, np.repeat(d, FEATURES)) for r in range(len(DELAYS_S)) for d in divisions]
        posterior = Posterior.of(candidates, sums)
        return posterior, posterior.weights(sums, posterior.turned(sums)), sums

    def _sizes(self, person: int) -> tuple[int, int, int]:
        return len(DELAYS_S), self.encoding.width, self.voxels(person)

    def voxels(self, person: int) -> int:
        """V of a person."""
        return self.encoding.get_buffer(f"voxels_{person}").shape[1]

    def some_voxels(self, person: int) -> NDArray[np.int64]:
        """Voxels that stand for all of a person's: all, or `MOST_VOXELS`, evenly spaced."""
        n = self.voxels(person)
        return np.linspace(0, n - 1, min(n, MOST_VOXELS)).round().astype(np.int64)

    def design(self, run: int, person: int, late_s: float | None = None) -> Single:
        """What a person's weights meet in a run, rid of what cleaning took out of their scan, [T, R, Q]."""
        late_s = float(self.encoding.get_buffer("delay_s")[person]) if late_s is None else late_s
        rows = self.encoding.delay(self.features[run][None], late_s)[0]
        rows = cleaned(rows, self.timelines[run], self.subjects[person])
        return rows.cpu().numpy().reshape(len(rows), len(DELAYS_S), -1)

    def some_design(self, person: int) -> Single:
        """What a person's weights meet at some TRs of all blocks, evenly spaced, [n, R Q]."""
        places = [(i, tr) for i, t in enumerate(self.timelines) for tr in t.trs(*self.labels).tolist()]
        kept = np.linspace(0, len(places) - 1, min(len(places), MOST_TRS)).round().astype(int)
        designs = [self.design(i, person) for i in range(len(self.timelines))]
        return np.stack([designs[i][tr].ravel() for i, tr in (places[k] for k in kept)])

    def _rows(self, group: Sequence[int]) -> Iterator[Rows]:
        """The mean over the people of a group who were measured, and of their designs, block by block."""
        for i, line in enumerate(self.timelines):
            there = [k for k in group if self.subjects[k] in line.scans]
            designs = {k: self.design(i, k) for k in there}
            for block in line.of(*self.labels) if there else []:
                mine = {k: line.scanned[self.subjects[k]][block.trs].astype(np.float32) for k in there}
                people = np.asarray(np.sum(list(mine.values()), 0), np.float64)
                share = {k: (m / np.maximum(people, 1)).astype(np.float32) for k, m in mine.items()}
                x = sum(designs[k][block.trs] * share[k][:, None, None] for k in there)
                y = np.zeros((len(people), self._sizes(group[0])[2]), np.float32)
                for k in there:
                    scan = line.scans[self.subjects[k]][block.trs]
                    for slab in row_slabs(*scan.shape):
                        y[slab] += scan[slab] * share[k][slab, None]
                yield Rows(np.asarray(x), y, people)

    def _late(self, person: int, voxels: NDArray[np.int64], weights: Single) -> float:
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


def _less(rows: Rows, weights: Single) -> Rows:
    """What a prediction leaves, in the place of what there was."""
    for slab in row_slabs(*rows.y.shape):
        rows.y[slab] -= rows.x[slab].reshape(-1, len(weights)) @ weights
    return rows


def lowest(at: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Where a parabola through the lowest of some values and its neighbours is lowest."""
    j = int(np.clip(np.argmin(values), 1, len(at) - 2))
    before, here, after = values[j - 1 : j + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(at[j] + np.clip(step, -1, 1) * (at[1] - at[0]))


def _features(encoding: Encoding, codes: Codes, run: int) -> Tensor:
    """What a run's TRs are like, [T, Q]."""
    h = {n: placed(x, encoding) for n, x in codes.inputs[run].items()}
    return encoding.features(h, {n: placed(x, encoding) for n, x in codes.present[run].items()})


class Choice(NamedTuple):
    """What validation blocks said: how much of a voxel is a person's own, and what net and closed form count."""

    own: float
    net: float
    closed: float


def fit_encoding(
    model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label], choice: Choice
) -> None:
    """Fit scans to codes in closed form on some blocks, and let the model predict by that and its net."""
    fit = EncodingFit(model, codes, timelines, labels)
    _put_patterns(fit, choice.own)
    fit.encoding.put("counts", torch.tensor([choice.net, choice.closed]))


def choose(model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], predicted: Scans) -> Choice:
    """Fit scans on training blocks, and see on validation blocks what to make of that beside the net's `predicted`.

    The model then predicts by both, as far as training blocks teach it. A net is kept as it is where neither is right.
    """
    fit = EncodingFit(model, codes, timelines, ("train",))
    errors, sums = torch.zeros(len(OWN), dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    shared = any(len(group) > 1 for group in fit.groups)  # else nothing is a person's own
    for k in range(len(model.subjects) if shared else 0):
        some = fit.some_voxels(k)
        weights_of, judged = fit.person(k, some), list(_judged(fit, predicted, k))
        for j, own in enumerate(OWN):
            weights = torch.from_numpy(weights_of(own))
            errors[j] += sum((design @ weights - y[:, some]).double().square().sum() for _, design, y in judged)
    own = OWN[int(errors.argmin())]
    _put_patterns(fit, own)
    for k in range(len(model.subjects)):
        for net, design, y in _judged(fit, predicted, k):
            sums += products(net, fit.encoding(placed(design, fit.encoding), k).cpu(), y)
    net_counts, closed_counts = multiples_of(sums)
    nothing = not (net_counts or closed_counts)
    choice = Choice(own, 1.0 if nothing else net_counts, closed_counts)
    fit.encoding.put("counts", torch.tensor([choice.net, choice.closed]))
    return choice


def _put_patterns(fit: EncodingFit, own: float) -> None:
    """Keep the main components of all predicted scans, person by person side by side, and what makes them.

    Weights of some voxels say which components those are; then all are made, one person's at a time.
    """
    encoding, people = fit.encoding, range(len(fit.subjects))
    designs = [fit.some_design(k) for k in people]
    alike = np.zeros((len(designs[0]),) * 2)
    for k in people:
        guess = designs[k] @ fit.person(k, fit.some_voxels(k))(own)
        alike += guess @ guess.T * (fit.voxels(k) / guess.shape[1])
    with one_thread():
        values, axes = (a[..., ::-1][..., :RANK] for a in np.linalg.eigh(alike))
    there = values > FAINT * max(float(values[0]), np.finfo(float).tiny)
    along = (axes[:, there] / np.sqrt(values[there])).astype(np.float32)
    basis, inner = np.zeros((designs[0].shape[1], RANK)), np.zeros((RANK, RANK))
    for k in people:
        weights = fit.person(k)(own)
        voxels = np.zeros((RANK, weights.shape[1]), np.float32)
        voxels[: along.shape[1]] = (along.T @ designs[k]) @ weights
        basis += weights @ voxels.T
        inner += voxels @ voxels.T
        encoding.put(f"voxels_{k}", torch.from_numpy(voxels))
    encoding.put("basis", torch.from_numpy(basis @ np.linalg.pinv(inner, rcond=FAINT, hermitian=True)))


def _judged(fit: EncodingFit, predicted: Scans, person: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """What the net says of a person's validation blocks, what weights meet there, and what was measured, [n, ..]."""
    subject = fit.subjects[person]
    for i, line in enumerate(fit.timelines):
        trs = line.trs("validation")
        if subject in line.scans and len(trs := trs[line.scanned[subject][trs]]):
            net, y = (torch.from_numpy(np.array(scan[trs])) for scan in (predicted[i][subject], line.scans[subject]))
            yield net, torch.from_numpy(fit.design(i, person)[trs]).flatten(1), y
