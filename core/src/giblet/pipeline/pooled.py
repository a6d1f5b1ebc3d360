"""From the metrics of several folds to one: means, spread, intervals, and the sentence that sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from giblet.analysis.bootstrap import interval
from giblet.analysis.nulls import p_value
from giblet.analysis.scores import Real
from giblet.analysis.variance_table import tested
from giblet.data.written import read_arrays
from giblet.pipeline.verdict import FEWEST_PIECES, RIDGES, SIGNIFICANT, beside_ridge, surely_below

SURROGATES = 1000
OF_ONE_FOLD = frozenset(
    {"p", "p_corrected", "null_p95", "significant", "lag_s", "lag_flag", "interval", "gain", "gain_interval"}
)
"""Figures that have no mean: tests and intervals are made anew from the draws of all folds; lags are of one fold."""


def pool(every: Sequence[Mapping[str, Any]], draws: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """The metrics of all folds together; `draws` holds what each fold's `draws.npz` does."""
    folds = fold_scores(every, draws, seed)
    fmri = average([m["fmri"] for m in every]) | {"null_kind": every[0]["fmri"]["null_kind"]}
    fmri |= {k: folds[k] for k in ("p", "null_p95", "interval", "gain", "gain_interval")}
    fmri["interval_pieces"] = sum(folds["pieces"])
    metrics: dict[str, Any] = {"summary": sentence(folds), "folds": folds, "fmri": fmri}
    metrics["warnings"] = [f"fold {k}: {w}" for k, m in enumerate(every, 1) for w in m["warnings"]]
    for name, first in every[0].items():
        if isinstance(first, Mapping) and "loss" in first:
            metrics[name] = _modality([m[name] for m in every])
    return metrics | _variance([m["variance"] for m in every], seed)


def fold_scores(every: Sequence[Mapping[str, Any]], draws: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """R and the best ridge by fold, their mean and spread, and what other people and other minutes would give.

    Without intervals where a fold has too few pieces for one.
    """
    r = [float(m["fmri"]["r"]) for m in every]
    best = [_best(m["fmri"]) for m in every]
    ridge = [float(m["fmri"][name]) for m, name in zip(every, best, strict=True)]
    gains = [d["r"] - d[name] for d, name in zip(draws, best, strict=True)]
    null = _null(draws, seed)
    cut = [int(m["fmri"]["interval_pieces"]) for m in every]
    known = min(cut) >= FEWEST_PIECES
    return {
        "n": len(every),
        "r": r,
        "ridge_r": ridge,
        "best_ridge": best,
        "gains": [a - b for a, b in zip(r, ridge, strict=True)],
        "mean_r": float(np.mean(r)),
        "sd_r": float(np.std(r, ddof=1)),
        "pieces": cut,
        "interval": list(interval(_of_everybody([d["r"] for d in draws], draws), seed)) if known else None,
        "gain": float(np.mean(r) - np.mean(ridge)),
        "gain_interval": list(interval(_of_everybody(gains, draws), seed)) if known else None,
        "null_p95": float(np.quantile(null, 0.95)),
        "p": p_value(float(np.mean(r)), null),
    }


def _best(fmri: Mapping[str, Any]) -> str:
    """The ridge with the largest r."""
    return max((name for name in RIDGES if name in fmri), key=lambda name: float(fmri[name]))


def _of_everybody(tables: Sequence[Real], draws: Sequence[Mapping[str, Any]]) -> Real:
    """The draws [S, n] of each fold as those of all people, [K, S, n]; NaN for whoever is missing in a fold."""
    people = list(dict.fromkeys(str(s) for d in draws for s in d["people"]))
    out = np.full((len(tables), len(people), tables[0].shape[1]), np.nan)
    for fold, table, d in zip(out, tables, draws, strict=True):
        fold[[people.index(str(s)) for s in d["people"]]] = table
    return out


def _null(draws: Sequence[Mapping[str, Any]], seed: int) -> Real:
    """Means over folds of surrogates, one drawn from each, [n]."""
    rng = np.random.default_rng(seed)
    return np.asarray(np.mean([rng.choice(d["null"], SURROGATES) for d in draws], 0))


def sentence(folds: Mapping[str, Any]) -> str:
    """The first line of a pooled report."""
    r = f"r = {folds['mean_r']:.3f} over {folds['n']} folds"
    within = [] if folds["interval"] is None else ["90% interval {:.3f} to {:.3f}".format(*folds["interval"])]
    if folds["p"] > SIGNIFICANT or folds["mean_r"] <= folds["null_p95"]:
        sure = "".join(f" ({w})" for w in within)
        chance = f"the null's 95th percentile is {folds['null_p95']:.3f} (p = {folds['p']:.3f})"
        if folds["gain_interval"] is None or not surely_below(folds["gain_interval"], folds["null_p95"]):
            return f"No relation between stimulus and scans was found: held-out {r}{sure}, {chance}."
        best = f"r = {folds['mean_r'] - folds['gain']:.3f} ({_difference(folds)})"
        return f"The model does not predict held-out scans, {r}{sure}: {chance}. The best ridge does, {best}."
    sure = "; ".join([*within, f"SD over folds {folds['sd_r']:.3f}"])
    return f"The model predicts held-out scans with {r} ({sure}), {_beside_best(folds)}; p = {folds['p']:.3f}."


def _beside_best(folds: Mapping[str, Any]) -> str:
    """The best ridges beside the model, as far as their difference has an interval."""
    if folds["gain_interval"] is None:
        return f"the best ridge with {folds['mean_r'] - folds['gain']:.3f} (too few minutes of test to tell them apart)"
    return f"{beside_ridge(*folds['gain_interval'])} the best ridge: {_difference(folds)}"


def _difference(folds: Mapping[str, Any]) -> str:
    low, high = folds["gain_interval"]
    return f"the difference is {folds['gain']:+.3f} ({low:+.3f} to {high:+.3f})"


def average(values: Sequence[Any]) -> Any:
    """Means of all numbers, key by key; words are the first's, and what has no mean is left out."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    first = known[0]
    if isinstance(first, Mapping):
        keys = [k for k in dict.fromkeys(k for v in known for k in v) if k not in OF_ONE_FOLD]
        return {k: average([v.get(k) for v in known]) for k in keys}
    if isinstance(first, bool) or not isinstance(first, int | float):
        return first
    return float(np.mean(known))


def _modality(every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Losses and identification of one modality; no p, for clips of different folds have different distractors."""
    found = average([{k: v for k, v in m["identification"].items() if k != "people"} for m in every])
    found["n_clips"] = sum(m["identification"]["n_clips"] or 0 for m in every)
    found |= {"p": None, "interval": None, "top1_interval": None}
    return {"modality": every[0]["modality"], "loss": average([m["loss"] for m in every]), "identification": found}


def _variance(every: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Explained variance over folds, tested again over people."""
    tables = [v["regions"] for v in every if "regions" in v]
    if len(tables) < len(every):
        return {"variance": {"note": next(v["note"] for v in every if "regions" not in v)}}
    table = average(tables)
    return {"variance": tested(table, seed) | {"note": every[0]["note"]}}


def pool_maps(folders: Sequence[Path]) -> dict[str, Any]:
    """Mean maps, where all folds have the same voxels; else none."""
    maps = [read_arrays(f / "maps.npz") for f in folders]
    fixed = [k for k in ("mask", "affine", "unit", "region", "region_names") if k in maps[0]]
    same = all(m.keys() == maps[0].keys() and all(np.array_equal(m[k], maps[0][k]) for k in fixed) for m in maps)
    if not same:
        return {}
    varying = [k for k in maps[0] if k not in fixed and k != "p_group"]
    return {k: maps[0][k] for k in fixed} | {k: np.mean([m[k] for m in maps], 0) for k in varying}
