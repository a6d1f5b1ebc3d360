"""Predictions of several methods for the same test blocks: their r, paired differences, and the table of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from giblet.analysis.ceilings import group_ceiling, loo_isc
from giblet.analysis.scores import pearson

RIDGES = {
    "summary_ridge_r": "FIR ridge",
    "summary_banded_r": "banded ridge",
    "ridge_r": "FIR ridge, components",
    "banded_r": "banded ridge, components",
    "hrf_banded_r": "banded ridge under the HRF",
    "hrf_group_r": "the same, of the group mean",
}
BAR_R, BAR_BLOCKS, INTERVAL, DRAWS = 0.25, 0.8, (5, 95), 10_000
Predictions = dict[str, np.ndarray]


@dataclass
class Fold:
    """One test block: everybody's scans [S, T, V], what each method predicts [S, T, V], and for the group [T, V]."""

    scans: np.ndarray
    people: Predictions = field(default_factory=dict)
    group: Predictions = field(default_factory=dict)

    def r(self, method: str, who: Sequence[int] | np.ndarray | None = None) -> float:
        """Group-mean r of a method, over the people given (all of them by default)."""
        target = self.scans if who is None else self.scans[who]
        return float(pearson(self.group[method], target.mean(0)).mean())

    def r_people(self, method: str) -> float:
        """Mean over people of the r of their own prediction."""
        each = zip(self.people[method], self.scans, strict=True)
        return float(np.mean([pearson(guess, y).mean() for guess, y in each]))


def interval(folds: Sequence[Fold], ours: Sequence[str], ridge: str, draws: int = DRAWS) -> list[float]:
    """90 % interval of the mean paired difference to a ridge: blocks and people are drawn with replacement."""
    rng = np.random.default_rng(0)
    people = len(folds[0].scans)
    out = []
    for _ in range(draws):
        who = rng.integers(people, size=people)
        blocks = [folds[i] for i in rng.integers(len(folds), size=len(folds))]
        out.append(np.mean([np.mean([f.r(m, who) for m in ours]) - f.r(ridge, who) for f in blocks]))
    return [float(x) for x in np.percentile(out, INTERVAL)]


def summary(name: str, folds: Sequence[Fold], seeds: Sequence[int], draws: int) -> dict[str, Any]:
    """The figures of one study: r by method, with its spread over blocks and seeds, and the paired difference."""
    ours = [f"ours {s}" for s in seeds]
    blocks = {m: [f.r(m) for f in folds] for m in RIDGES.values()}
    blocks["ours"] = [float(np.mean([f.r(m) for m in ours])) for f in folds]
    blocks["ours, seeds averaged"] = [f.r("ours") for f in folds]
    best = max(RIDGES.values(), key=lambda m: np.mean(blocks[m]))
    by_seed = [float(np.mean([f.r(m) for f in folds])) for m in ours]
    ceilings = [group_ceiling(f.scans).values for f in folds]
    isc = [loo_isc(f.scans).values for f in folds]
    return {
        "study": name,
        "people": len(folds[0].scans),
        "group": {m: float(np.mean(b)) for m, b in blocks.items()},
        "blocks": blocks,
        "seeds": dict(zip(ours, by_seed, strict=True)),
        "everybody": {m: float(np.mean([f.r_people(m) for f in folds])) for m in (*RIDGES.values(), "ours")},
        "group_ceiling": None if ceilings[0] is None else float(np.mean(ceilings)),
        "loo_isc": None if isc[0] is None else float(np.mean([v.mean() for v in isc if v is not None])),
        "best_ridge": best,
        "difference": [a - b for a, b in zip(blocks["ours"], blocks[best], strict=True)],
        "interval": interval(folds, ours, best, draws),
        "averaged_difference": [a - b for a, b in zip(blocks["ours, seeds averaged"], blocks[best], strict=True)],
        "averaged_interval": interval(folds, ["ours"], best, draws),
    }


def misses(row: Mapping[str, Any]) -> list[str]:
    """Which bars a study misses."""
    if not row["has_bar"]:
        return []
    r, positive = row["group"]["ours"], float(np.mean([d > 0 for d in row["difference"]]))
    out = [f"r = {r:.3f}, not {BAR_R}"] if r < BAR_R else []
    out += [f"above the best ridge in {positive:.0%} of the blocks only"] if positive < BAR_BLOCKS else []
    out += [f"the interval of the difference begins at {row['interval'][0]:.3f}"] if row["interval"][0] <= 0 else []
    return [f"{row['study']}: {line}" for line in out]


def show(row: Mapping[str, Any]) -> None:
    """One study's table."""
    ceiling, isc = (f"{v:.3f}" if v is not None else "none" for v in (row["group_ceiling"], row["loo_isc"]))
    print(f"\n{row['study']}: {row['people']} people; {row['features']}")
    print(f"{'method':26}{'group r':>9}{'SD blocks':>11}{'everybody r':>13}   r by test block")
    for m, blocks in row["blocks"].items():
        everybody = f"{row['everybody'][m]:.3f}" if m in row["everybody"] and m != "ours" else ""
        everybody = f"{row['everybody']['ours']:.3f}" if m == "ours, seeds averaged" else everybody
        each = " ".join(f"{b:6.3f}" for b in blocks)
        print(f"{m:26}{row['group'][m]:9.3f}{np.std(blocks):11.3f}{everybody:>13}   {each}")
    print(f"{'ceiling':26}{ceiling:>9}{'':11}{isc:>13}   group: split halves; everybody: agreement, not a bound")
    by_seed = list(row["seeds"].values())
    print(f"ours by seed: {' '.join(f'{r:.3f}' for r in by_seed)} (SD {np.std(by_seed):.3f})")
    for what, key in (("ours", ""), ("ours, seeds averaged", "averaged_")):
        difference, (low, high) = row[f"{key}difference"], row[f"{key}interval"]
        each = " ".join(f"{d:+.3f}" for d in difference)
        mean = f"{np.mean(difference):+.3f}"
        print(f"{what} - {row['best_ridge']}: {mean}, 90 % {low:+.3f} to {high:+.3f}; by block {each}", flush=True)
