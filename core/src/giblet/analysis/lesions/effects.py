"""What lesions cost each modality on test blocks, TR by TR, and how much of it hangs on each person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.analysis.decode import counting
from giblet.analysis.lesions.reading import CodeLoss, Lesions, Mask, Place
from giblet.types import Progress, silent

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Of one modality, over all test TRs [T] that `present` [T] says have it: the loss without a lesion `intact` [T],
    and with each of R lesions `hurt` [R, T].

    `influence` [R, S, T] is the effect (hurt minus intact) as each of S people moves it: its mean over people is the
    effect, its spread over people what drawing other people would change.
    """

    present: Mask
    intact: Real
    hurt: Real
    influence: Real

    def intact_loss(self) -> float:
        """The mean relative loss without a lesion."""
        return self._mean(self.intact)

    def hurt_loss(self) -> Real:
        """The mean relative loss with each lesion, [R]."""
        return self._means(self.hurt)

    def effect(self) -> Real:
        """Lesioned minus intact relative loss, [R]."""
        return self._means(self.hurt - self.intact)

    def _means(self, x: Real) -> Real:
        return x[:, self.present].mean(1) if self.present.any() else np.full(len(x), np.nan)

    def _mean(self, x: Real) -> float:
        return float(x[self.present].mean()) if self.present.any() else float("nan")


def measure_effects(lesions: Lesions, masks: Mask, progress: Progress = silent) -> dict[str, Effects]:
    """The effects of lesions [R, U] on each modality, read from the mean over people of the latents."""
    loss, places = CodeLoss(lesions.reader), lesions.reader.places()
    people, with_intact = lesions.people, np.concatenate([np.zeros((1, masks.shape[1]), bool), masks])
    parts = []
    for done, place in enumerate(places):
        progress("lesion", done, len(places))
        parts.append(_place_losses(lesions, loss, place, people, with_intact))
    progress("lesion", len(places), len(places))
    present = loss.present(places)
    return {name: _effects(present[name], [part[name] for part in parts]) for name in loss.names}


def _place_losses(
    lesions: Lesions, loss: CodeLoss, place: Place, people: Sequence[str], masks: Mask
) -> dict[str, tuple[Real, Real]]:
    """Of each modality: the loss of everybody's mean latent [R, T], and its change per person [R, S, T]."""
    measured = lesions.reader.everybody(lesions.condition, *place)
    here = [s for s in people if s in measured]
    there, counts = np.stack([measured[s] for s in here]), counting({s: measured[s] for s in here}).unsqueeze(1)
    share = len(people) / np.maximum(there.sum(0), 1)
    found: dict[str, list[tuple[Real, Real]]] = {name: [] for name in loss.names}
    for draw in range(lesions.draws):
        each = torch.stack([lesions.latents(place, s, masks, draw) for s in here])
        whole = loss.per_tr((each * counts).sum(0) / counts.sum(0), place)
        without = [loss.per_tr(z, place) for z in _leave_one_out(each, counts)]
        for name in loss.names:
            spread = np.zeros((len(masks), len(people), len(share)))
            spread[:, [people.index(s) for s in here]] = _influences([w[name] for w in without], there) * share
            found[name].append((whole[name], spread))
    return {name: (np.mean([p[0] for p in v], 0), np.mean([p[1] for p in v], 0)) for name, v in found.items()}


def _leave_one_out(each: Tensor, counts: Tensor) -> list[Tensor]:
    """The mean latents [R, T, D] of those who count at a TR (0 or 1 [S, 1, T, 1]) of people [S, R, T, D], but for one.

    Who is the only one there is not left out.
    """
    total, n = (each * counts).sum(0), counts.sum(0)
    left = [((total - z * c) / (n - c).clamp_min(1), n > c) for z, c in zip(each, counts, strict=True)]
    return [torch.where(others, z, total / n) for z, others in left]


def _influences(without: Sequence[Real], there: Mask) -> Real:
    """How far each person moves the loss, [R, S, T], by the jackknife (Efron & Stein 1981, doi:10.1214/aos/1176345462).

    Of losses without each of them, [R, T], among those `there` [S, T] at a TR; nothing of who was not, or was alone.
    Scaled so that a bootstrap over people has the jackknife's variance, which is not too small for few people.
    """
    left, n = np.stack(without, 1), there.sum(0)
    mean = (left * there).sum(1, keepdims=True) / np.maximum(n, 1)
    return np.asarray(np.sqrt(n * (n - 1)) * (mean - left) * there)


def _effects(present: Mask, parts: Sequence[tuple[Real, Real]]) -> Effects:
    loss = np.concatenate([p[0] for p in parts], axis=1)
    change = np.concatenate([p[1] for p in parts], axis=2)
    effect = loss[1:] - loss[0]
    return Effects(present, loss[0], loss[1:], effect[:, None] + change[1:] - change[0])


def null_effects(lesions: Lesions, masks: Mask, progress: Progress, batch: int = 20) -> dict[str, Real]:
    """The mean effect of many lesions [n, U] on each modality, [n]; measured as `measure_effects` measures."""
    loss, places = CodeLoss(lesions.reader), lesions.reader.places()
    if not len(masks):
        return {name: np.zeros(0) for name in loss.names}
    present = loss.present(places)
    intact = _mean_losses(lesions, loss, places, present, np.zeros((1, masks.shape[1]), bool))
    found: dict[str, list[Real]] = {name: [] for name in loss.names}
    for start in range(0, len(masks), batch):
        hurt = _mean_losses(lesions, loss, places, present, masks[start : start + batch])
        for name, values in hurt.items():
            found[name].append(values - intact[name])
        progress("random lesions", min(start + batch, len(masks)), len(masks))
    return {name: np.concatenate(v) for name, v in found.items()}


def _mean_losses(
    lesions: Lesions, loss: CodeLoss, places: Sequence[Place], present: dict[str, Mask], masks: Mask
) -> dict[str, Real]:
    """Mean relative loss of each modality under each lesion, [L]."""
    total: dict[str, Real] = {}
    for draw in range(lesions.draws):
        parts = [loss.per_tr(lesions.mean_latents(p, masks, draw), p) for p in places]
        for name in loss.names:
            rows = np.concatenate([p[name] for p in parts], axis=-1)[:, present[name]]
            mean = rows.mean(1) if rows.shape[1] else np.full(len(masks), np.nan)
            total[name] = total.get(name, 0.0) + mean / lesions.draws
    return total
