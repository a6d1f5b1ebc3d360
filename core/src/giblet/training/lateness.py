"""How late responses come, against the canonical one: those of some people in all, and each person's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from giblet.model.encoding import DELAYS_S
from giblet.model.hemodynamics import EARLIEST_S, PEAK_S
from giblet.training.designs import Designs
from giblet.training.evidence import Prior, Real, Single, candidates
from giblet.training.relevance import told
from giblet.training.small_matrices import FAINT
from giblet.types import Int

LATE_S = np.arange(-2.5, 2.51, 0.5)
"""How much later than the others a person may be."""
ROUNDS, TELLING = 2, 512
"""So often delays are found, from so many voxels: those of which most is known."""


def find_all_delays(designs: Designs, together: Sequence[Sequence[int]], noise: Sequence[float]) -> None:
    """Learn how late everybody is, from each group of people who share voxels, and how their noise is correlated.

    People of whom nothing is known are as late as the others are on average.
    """
    late_s = designs.encoding.get_buffer("late_s")
    known: list[int] = []
    for people, correlation in zip(together, noise, strict=True):
        if _find_delays(designs, people, correlation):
            known += people
    if known:
        unknown = [k for people in together for k in people if k not in known]
        late_s[unknown] = late_s[known].mean()


def _find_delays(designs: Designs, people: Sequence[int], correlation: float) -> bool:
    """Of people who share voxels; false where these do not tell.

    Where there are more voxels than features, all together are as late as these are, on average, each counting as much
    as is known of it; else they are not late. A person is as late against the others as where the common prediction
    leaves least of their scan.
    """
    many = told(designs.encoding.voxels(people[0])) > 0
    if not many and len(people) == 1:
        return False
    voxels, late_s = designs.some_voxels(people[0]), designs.encoding.get_buffer("late_s")
    for _ in range(ROUNDS):
        design = designs.of(people, correlation)
        sums = design.sums(voxels)
        modalities = len(designs.encoding.likeness)
        prior = Prior.of(candidates([np.full(modalities, 1 / modalities)]), design, sums)
        turned = prior.turned(design)
        share = prior.share(turned, sums)
        weights = prior.weights(turned, share, sums)
        explained = (weights * sums.xy).sum(0) / np.maximum(sums.yy, np.finfo(float).tiny)
        telling = np.argsort(explained)[-TELLING:]
        if not explained[telling].any():
            return False
        middle = float(late_s[list(people)].mean())
        beside = np.array([DELAYS_S[c.delay] for c in prior.candidates]) @ share.sum(1)
        later = np.average(beside[telling], weights=explained[telling]) if many else 0.0
        late = np.full(len(people), middle + later)
        if len(people) > 1:
            own = [_own(designs, k, voxels[telling], weights[:, telling], middle) for k in people]
            late += _against_each_other(np.array(own))
        late_s[list(people)] = torch.from_numpy(late.clip(EARLIEST_S - PEAK_S - min(DELAYS_S))).to(late_s)
    return True


def _against_each_other(late: Real) -> Real:
    """How much later than their mean some are; those of whom it is not known (NaN) are the mean."""
    return np.nan_to_num(late - np.nanmean(late)) if np.isfinite(late).any() else np.zeros(len(late))


def _own(designs: Designs, person: int, voxels: Int, weights: Single, middle: float) -> float:
    """How late a person is: where the common prediction leaves least of their scan.

    NaN where nothing of it was measured, or nothing is predicted.
    """
    at, error = middle + LATE_S, np.zeros(len(LATE_S))
    for i, trs, y in designs.measured(person, *designs.labels):
        scan = np.stack([y[tr][voxels] for tr in trs])
        for j, late in enumerate(at):
            guess = designs.in_run(i, person, float(late))[trs].reshape(len(trs), -1) @ weights
            error[j] += np.square(scan - guess, dtype=np.float64).sum()
    return lowest(at, error) if np.ptp(error) > FAINT * error.max() else np.nan


def lowest(at: Real, values: Real) -> float:
    """Where a parabola through the lowest of some values and its neighbours is lowest."""
    j = int(np.clip(np.argmin(values), 1, len(at) - 2))
    before, here, after = values[j - 1 : j + 2]
    bend = before - 2 * here + after
    step = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(at[j] + np.clip(step, -1, 1) * (at[1] - at[0]))
