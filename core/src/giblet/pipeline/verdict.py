"""The first line of a report: what was found, and what must be said before anything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from giblet.report.sections.curves import constant_of

SIGNIFICANT = 0.05
RIDGES = ("ridge_r", "banded_r", "summary_ridge_r", "summary_banded_r", "hrf_banded_r", "hrf_group_r")
NOTHING_READ = 1.0
FEWEST_PIECES = 4
"""Pieces of 30 s that a test must have for an interval to mean anything."""
CALIBRATED = 0.99
"""What is read from scans is scored at its best multiple, which by itself brings a loss a little below a constant's."""


def summary(fmri: Mapping[str, Any], *, plumbing: bool) -> str:
    """One sentence on whether scans are predicted, and whether by more than ridge."""
    r, best = fmri["r"], max(fmri[k] for k in RIDGES if k in fmri)
    if plumbing:
        return (
            f"Plumbing only: trained and scored on the same TRs (r = {r:.3f}); nothing here says anything about brains."
        )
    low, high = fmri["gain_interval"]
    if fmri["p"] > SIGNIFICANT or r <= fmri["null_p95"]:
        chance = f"the null's 95th percentile is {fmri['null_p95']:.3f} (p = {fmri['p']:.3f})"
        if fmri["interval_pieces"] < FEWEST_PIECES or not surely_below((low, high), fmri["null_p95"]):
            return f"No relation between stimulus and scans was found: held-out r = {r:.3f}, {chance}."
        return (
            f"The model does not predict held-out scans, r = {r:.3f}: {chance}. The best ridge does, r = {best:.3f} "
            f"(90% interval of the difference {low:+.3f} to {high:+.3f})."
        )
    if fmri["interval_pieces"] < FEWEST_PIECES:
        beside = f"the best ridge with {best:.3f} (too few minutes of test to tell them apart)"
    else:
        told = f"{best:.3f}; 90% interval of the difference {low:+.3f} to {high:+.3f}"
        beside = f"{beside_ridge(low, high)} the best ridge ({told})"
    return (
        f"The model predicts held-out scans with r = {r:.3f}, {beside}; "
        f"null 95th percentile {fmri['null_p95']:.3f}, p = {fmri['p']:.3f}."
    )


def surely_below(gain: Sequence[float], null_p95: float) -> bool:
    """Whether a model that does not predict is further below the best ridge than chance takes it.

    That ridge has no null of its own, and is the best of several: so the nearer end of the interval of the model's gain
    over it must be beyond the null.
    """
    return -gain[1] > null_p95


def beside_ridge(low: float, high: float) -> str:
    """What the interval of the difference allows to say."""
    return "better than" if low > 0 else "worse than" if high < 0 else "no different, as far as can be told, from"


def warnings(metrics: Mapping[str, Any], kinds: Mapping[str, str]) -> list[str]:
    """What a reader must know: misalignment, losses stuck at their constant, smuggling."""
    out = []
    fmri = metrics["fmri"]
    if fmri["lag_flag"]:
        late = "late" if fmri["lag_s"] > 0 else "early"
        out.append(
            f"The scans seem misaligned: they come {abs(fmri['lag_s']):.1f} s too {late} for the stimulus. "
            f"Check the onset, or run again with --offset moved by {-fmri['lag_s']:+.1f}."
        )
    out += [_unread(key, metrics[key]) for key in kinds if _loss(metrics.get(key, {})) >= NOTHING_READ]
    if metrics["smuggling"]["flag"]:
        out.append(str(metrics["smuggling"]["text"]))
    return out


def _loss(decoded: Mapping[str, Any]) -> float:
    """The test loss of what is read from measured scans; below all others where there is none."""
    loss = decoded.get("loss", {}).get("measured")
    return -math.inf if loss is None else float(loss)


def _unread(key: str, decoded: Mapping[str, Any]) -> str:
    """That a modality is not decoded, and whether its clips are told nevertheless."""
    said = f"What is decoded of the {key} from measured scans is no better than a constant: its test loss is "
    said += f"{_loss(decoded):.2f}, a constant's is 1."
    found = decoded.get("identification", {})
    if found.get("p") is None or found["p"] > SIGNIFICANT:
        return said
    return f"{said} Its clips are told from others all the same (two-way {found['two_way']:.3f}, p = {found['p']:.3f})."


def alarms(rows: Iterable[Mapping[str, Any]], metrics: Mapping[str, Any]) -> list[str]:
    """Stages whose best validation loss, of all rows of `train.jsonl`, never came below that of a constant.

    Nets that learned nothing are no alarm where the closed form beside them predicts, or reads, well enough.
    """
    best: dict[tuple[str, str], float] = {}
    for row in rows:
        parts = row.get("parts") or {"": row.get("validation")}
        for part, loss in parts.items():
            stage = (str(row["stage"]), part)
            best[stage] = min(best.get(stage, math.inf), math.inf if loss is None else loss)
    return [
        f"Training learned nothing that holds on validation blocks ({', '.join(filter(None, stage))}): the loss stayed "
        f"at {loss:.2f}, a constant's is {constant:.0f}."
        for stage, loss in best.items()
        if math.inf > loss >= _least(stage[0]) * (constant := constant_of(stage[0])) and not _made_good(*stage, metrics)
    ]


def _least(stage: str) -> float:
    return CALIBRATED if stage.startswith("decoders") else 1.0


def _made_good(stage: str, part: str, metrics: Mapping[str, Any]) -> bool:
    """Whether on test blocks the whole model does what a stage's nets alone did not learn."""
    if stage.startswith("trunk"):
        return bool(metrics["fmri"]["p"] <= SIGNIFICANT)
    return stage.startswith("decoders") and -math.inf < _loss(metrics.get(part, {})) < NOTHING_READ
