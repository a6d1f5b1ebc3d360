"""Effects of lesions with their intervals, p-values and interactions, in plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from giblet.analysis.decode import Reader
from giblet.analysis.lesions.ablation import Ablation, Units
from giblet.analysis.lesions.bootstrap import BLOCK_S, LEVEL, Real, interactions, interval, resample_sets, resampled
from giblet.analysis.lesions.effects import Effects, measure_effects, null_effects
from giblet.analysis.lesions.matching import Mask, RandomLesions, Space, random_lesions
from giblet.analysis.lesions.reading import Lesions, NativeLoss
from giblet.analysis.nulls import p_value
from giblet.analysis.surrogates import MIN_DISTINCT
from giblet.types import Progress

SOURCES = {"from_measured": "measured", "from_predicted": "noisy"}
"""What is lesioned, and its condition for `Reader`: a real scan, or a predicted one with a scan's noise."""
NOT_DECODABLE = 0.9
"""Where neither the decoded features nor their code have an intact relative loss below this, the modality is not
decodable: there is nothing that a lesion could take."""
NATIVE_TRS = 100
"""TRs that are decoded in full for the losses without an interval."""
TESTED_ON = (
    "code_*, intervals, p and interactions: the loss of each modality's code and plain features, which count alike; "
    "intact, lesion and effect: that of the decoded features; both relative to the best constant"
)
MOST_REGIONS = 12
"""With more regions than this, random lesions and interactions are left out: their number grows with its square."""


@dataclass(frozen=True)
class Plan:
    """How regions are lesioned and tested: `only` keeps a region and ablates all else, `random` is how many matched
    random lesions each is compared with.
    """

    units: Units
    space: Space
    ablation: Ablation
    draws: int = 1
    random: int = 0
    only: bool = False

    def ablated(self, regions: Mask) -> Mask:
        """What is ablated for regions [R, U]."""
        return ~regions if self.only else regions

    def settings(self) -> dict[str, Any]:
        """The plan in plain values."""
        kept = {"how": self.ablation.how, "strength": self.ablation.strength, "seed": self.ablation.seed}
        rest = {"draws": self.draws, "random": self.random, "only": self.only, "tested_on": TESTED_ON}
        bootstrap = {"level": LEVEL, "block_s": BLOCK_S}
        return kept | rest | bootstrap | {"not_decodable": NOT_DECODABLE, "native_trs": NATIVE_TRS}


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """One source's figures by modality: decoded losses [1 + R] (intact first), effects, their resamples, nulls [n]."""

    native: dict[str, Real]
    effects: dict[str, Effects]
    resampled: dict[str, Real]
    nulls: list[dict[str, Real]]

    def decodable(self) -> list[str]:
        """The modalities of which an intact brain says something."""
        return _decodable(self.native, self.effects)

    def resamples(self) -> int:
        """How many resamples there are."""
        return next(iter(self.resampled.values())).shape[1]


def _decodable(native: Mapping[str, Real], effects: Mapping[str, Effects]) -> list[str]:
    return [m for m, loss in native.items() if min(loss[0], effects[m].intact_loss()) < NOT_DECODABLE]


def lesion_table(
    reader: Reader, regions: Mapping[str, Mask], plan: Plan, progress: Progress, against: str | None = None
) -> dict[str, Any]:
    """Lesion each region [U] on the test blocks, from both sources, and test what it costs each modality.

    `regions[name][modality][source]` has the figures, `interactions[source]` compare every two regions that do not
    overlap (or `against` with each), `matching` says how like the random lesions are, `not_decodable[source]` which
    modalities have left the table.
    """
    names, masks = list(regions), np.stack(list(regions.values()))
    lean = len(names) > MOST_REGIONS and against is None
    count = [0 if lean or (against not in (None, name)) else plan.random for name in names]
    matched = [random_lesions(m, plan.space, n, plan.ablation.seed) for m, n in zip(masks, count, strict=True)]
    pairs = [] if lean else _pairs(names, masks, against)
    tested = {
        s: _test(Lesions(reader, plan.units, plan.ablation, c, plan.draws), masks, matched, len(pairs), plan, progress)
        for s, c in SOURCES.items()
    }
    return {
        "regions": {name: _rows(tested, k, plan) for k, name in enumerate(names)},
        "not_decodable": {s: _left(t) for s, t in tested.items()},
        "interactions": {s: _interactions(t, pairs, names) for s, t in tested.items()},
        "matching": {name: m.matching() for name, m, n in zip(names, matched, count, strict=True) if n},
        "settings": plan.settings() | {"resamples": {s: t.resamples() for s, t in tested.items()}},
        "notes": [f"{len(names)} regions: no random lesions and no interactions over {MOST_REGIONS}"] if lean else [],
    }


def _pairs(names: Sequence[str], masks: Mask, against: str | None) -> list[tuple[int, int]]:
    """Regions to compare, by place, that do not overlap."""
    every = combinations(range(len(names)), 2)
    apart = [(i, j) for i, j in every if not (masks[i] & masks[j]).any()]
    return apart if against is None else [p for p in apart if names[p[0]] == against]


def _test(
    lesions: Lesions, masks: Mask, matched: Sequence[RandomLesions], pairs: int, plan: Plan, progress: Progress
) -> Tested:
    """One source's figures; as many resamples as the interactions of `pairs` of regions need."""
    ablated = plan.ablated(masks)
    effects = measure_effects(lesions, ablated, progress)
    with_intact = np.concatenate([np.zeros((1, ablated.shape[1]), bool), ablated])
    native = _native(lesions, with_intact)
    sets = resample_sets(pairs * comb(len(_decodable(native, effects)), 2))
    tr_s = float(lesions.reader.timelines[0].grid.tr_s)
    return Tested(
        native,
        effects,
        resampled(effects, tr_s, plan.ablation.seed, sets),
        [null_effects(lesions, plan.ablated(m.masks), progress) for m in matched],
    )


def _native(lesions: Lesions, masks: Mask) -> dict[str, Real]:
    """Each modality's own loss under each lesion, [L], mean over draws."""
    loss, places = NativeLoss(lesions.reader, NATIVE_TRS), lesions.reader.places()
    every = [loss.mean([lesions.mean_latents(p, masks, draw) for p in places]) for draw in range(lesions.draws)]
    return {m: np.mean([one[m] for one in every], 0) for m in every[0]}


def _rows(tested: Mapping[str, Tested], k: int, plan: Plan) -> dict[str, dict[str, Any]]:
    """A region's figures by modality and source."""
    names = next(iter(tested.values())).native
    return {m: {s: _row(t, m, k, plan) for s, t in tested.items()} for m in names}


def _row(t: Tested, m: str, k: int, plan: Plan) -> dict[str, Any]:
    native, effects = t.native[m], t.effects[m]
    row = {"intact": float(native[0]), "lesion": float(native[1 + k]), "effect": float(native[1 + k] - native[0])}
    row |= {"code_intact": effects.intact_loss(), "code_lesion": float(effects.hurt_loss()[k])}
    if m not in t.decodable():
        return row | {"decodable": False}
    effect, null = float(effects.effect()[k]), t.nulls[k][m]
    sign = -1.0 if plan.only else 1.0  # a region that is kept alone is special if it loses little
    p = p_value(sign * effect, sign * null) if len(null) >= MIN_DISTINCT else None
    tests = {"code_effect": effect, "code_interval": list(interval(t.resampled[m][k])), "p": p}
    return row | {"decodable": True} | tests


def _left(t: Tested) -> dict[str, dict[str, float]]:
    """The intact losses of what is not decodable."""
    gone = [m for m in t.native if m not in t.decodable()]
    return {m: {"intact": float(t.native[m][0]), "code_intact": t.effects[m].intact_loss()} for m in gone}


def _interactions(t: Tested, pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> list[dict[str, Any]]:
    kept = t.decodable()
    effects = {m: t.effects[m].effect() for m in kept}
    return [asdict(row) for row in interactions(effects, {m: t.resampled[m] for m in kept}, pairs, names)]
