"""Lesions of a run's regions, for its report, and what a made-up world says that they should cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from giblet.analysis.decode import Reader
from giblet.analysis.lesions import SOURCES, Ablation, Plan, Space, Voxels, lesion_table
from giblet.analysis.scores import Real
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.regions import Masks
from giblet.types import Progress

TIE = 0.03
"""Losses of a truth's reader that are nearer than this are no order that could be found again."""


def space_of(inputs: Inputs, ceiling: Real | None) -> Space:
    """Where voxels lie, as far as the brain modality knows, and how reliable they are."""
    assert inputs.brain is not None
    state = inputs.brain.state
    voxels = "mask" in state and "unit" not in state and not inputs.brain.learned_space
    return Space.of_mask(state["mask"].astype(bool), ceiling) if voxels else Space(None, ceiling)


def lesion_regions(
    reader: Reader, inputs: Inputs, regions: Masks, ceiling: Real | None, progress: Progress
) -> dict[str, Any]:
    """Each region [V] lesioned, against matched random lesions and against each other; empty without regions."""
    named = {k: v for k, v in regions.items() if v.any()}
    if not named:
        return {}
    evaluate, seed = reader.config.evaluate, reader.config.seed
    voxels = Voxels(len(next(iter(named.values()))))
    plan = Plan(voxels, space_of(inputs, ceiling), Ablation(seed=seed), evaluate.lesion_draws, evaluate.random_lesions)
    return lesion_table(reader, named, plan, progress)


def lesion_truth(path: Path, lesions: Mapping[str, Any]) -> dict[str, Any]:
    """How the table compares with the truth's, by source; empty where the truth or the run has no lesions.

    `lesion_pairs_in_order` is the share of regions' pairs, of each decodable modality, that are in the truth's order,
    and `lesion_order_matches` whether all are; `lesion_code_pairs_in_order` is that share by the effects on codes;
    `lesion_first_matches` whether a region that serves one modality costs that one most (where another is decodable
    too).
    """
    truth = json.loads(path.read_text(encoding="utf-8")).get("lesions")
    if not truth or not lesions:
        return {}
    effects, on_codes = (
        {source: _effects(lesions["regions"], source, key) for source in SOURCES} for key in ("effect", "code_effect")
    )
    shares = {s: _in_order(truth["effect"], found) for s, found in effects.items()}
    return {
        "lesion_pairs_in_order": shares,
        "lesion_code_pairs_in_order": {s: _in_order(truth["effect"], found) for s, found in on_codes.items()},
        "lesion_order_matches": {s: {m: share == 1 for m, share in by.items()} for s, by in shares.items()},
        "lesion_first_matches": {s: _first(truth["first"], found) for s, found in effects.items()},
    }


def _effects(regions: Mapping[str, Any], source: str, key: str) -> dict[str, dict[str, float]]:
    """An effect on each decodable modality, by region."""
    return {r: {m: v[source][key] for m, v in row.items() if v[source]["decodable"]} for r, row in regions.items()}


def _in_order(stated: Mapping[str, Mapping[str, float]], found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """By modality, the share of pairs of regions, of which the truth says that one matters more, that agree."""
    shares = {}
    for m in next(iter(found.values())):
        known = [r for r in stated if r in found and m in stated[r]]
        pairs = [(a, b) for a, b in permutations(known, 2) if stated[a][m] - stated[b][m] > TIE]
        if pairs:
            shares[m] = sum(found[a][m] > found[b][m] for a, b in pairs) / len(pairs)
    return shares


def _first(stated: Mapping[str, str], found: Mapping[str, Mapping[str, float]]) -> dict[str, bool]:
    """By region, whether its modality suffers most, if that one and another to compare it with are decodable."""
    known = {r: m for r, m in stated.items() if m in found.get(r, {}) and len(found[r]) > 1}
    return {r: max(found[r], key=lambda k: found[r][k]) == m for r, m in known.items()}
