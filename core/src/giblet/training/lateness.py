"""How late responses come, against the canonical one: those of some people in all, and each person's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from giblet.model.encoding import DELAYS_S
from giblet.training.designs import Designs
from giblet.training.evidence import Prior, Real, Single, candidates
from giblet.training.small_matrices import FAINT, evenly
from giblet.types import Int

LATE_S = np.arange(-2.5, 2.51, 0.5)
"""How much later than the others a person may be."""
ROUNDS, TELLING = 2, 512
"""So often delays are found, from so many voxels: those of which most is known."""


def find_delays(designs: Designs, people: Sequence[int], correlation: float, most: int, many: bool) -> None:
    """Learn how late some people are, who share voxels, from so many of these at most.

    Where voxels are `many`, all together are as late as these are, on average, each counting as much as is known of it;
    else they are not late. A person is as late against the others as where the common prediction leaves least of their
    scan.
    """
    voxels, delay_s = evenly(designs.voxels(people[0]), most), designs.encoding.get_buffer("delay_s")
    for _ in range(ROUNDS if many or len(people) > 1 else 0):
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
            return
        middle = float(delay_s[list(people)].mean())
        beside = np.array([DELAYS_S[c.delay] for c in prior.candidates]) @ share.sum(1)
        later = np.average(beside[telling], weights=explained[telling]) if many else 0.0
        late = np.full(len(people), middle + later)
        if len(people) > 1:
            own = [_own(designs, k, voxels[telling], weights[:, telling], middle) for k in people]
            late += _against_each_other(np.array(own))
        delay_s[list(people)] = torch.from_numpy(late).to(delay_s)


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
