"""The tables that every kind of reconstruction has: losses, metrics beside their controls, identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.markup import Html, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

CLIPS = (
    "Clips of 9 s are told from clips at least 30 s away in the same run; those of the same scene, with the same words "
    "or the same features are left out. Intervals of all scans together are over clips, those of one scan over clips "
    "and people."
)
LOSSES = {
    "measured": legend.MEASURED,
    "faint": legend.FAINT,
    "noisy": legend.NOISY,
    "predicted": legend.PREDICTED,
    "permuted": legend.PERMUTED,
}
COLUMNS = {
    "roundtrip": "round trip",
    "predicted": "from predicted brain",
    "measured": "from measured scan",
    "training_mean": "training mean",
    "permuted": "permuted scan",
}


def score_tables(run: RunFolder, kind: str) -> Html:
    """All tables of a kind; nothing where it was not scored."""
    scores = run.metrics.get(kind) or {}
    how = [scores[k] for k in ("modality", "how") if scores.get(k)]
    return html(
        [
            paragraphs(f"Made by {', '.join(map(str, how))}.") if how else None,
            _losses(scores.get("loss") or {}),
            _metrics({k: v for k, v in scores.items() if k in COLUMNS and isinstance(v, Mapping) and v}),
            _identification(scores.get("identification") or {}),
        ]
    )


def _losses(loss: Mapping[str, Any]) -> Html:
    if not loss:
        return Html()
    rows = [[name, loss[name], meaning] for name, meaning in LOSSES.items() if name in loss]
    rows += [[name, value, ""] for name, value in loss.items() if name not in LOSSES]
    return html(
        [table("Relative loss on test blocks", ["input", "loss", "meaning"], rows), paragraphs(legend.RELATIVE_LOSS)]
    )


def _metrics(scores: Mapping[str, Mapping[str, Any]]) -> Html:
    if not scores:
        return Html()
    columns = [c for c in COLUMNS if c in scores]
    names = list(dict.fromkeys(name for c in columns for name in scores[c]))
    rows = [[name.replace("_", " "), *(scores[c].get(name) for c in columns)] for name in names]
    shown = table("Quality beside its controls", ["metric", *(COLUMNS[c] for c in columns)], rows)
    return html([shown, paragraphs(f"Round trip: {legend.ROUND_TRIP}. Training mean: {legend.TRAINING_MEAN}.")])


CHOICES = {"two_way": "right one of two", "top1": "right one of all", "top5": "among the best five"}


def _identification(found: Mapping[str, Any]) -> Html:
    if found.get("two_way") is None:
        return paragraphs(f"Clips were not identified: {found['note']}.") if found.get("note") else Html()
    people = found.get("people") or {}
    chances = {"two_way": 0.5, "top1": found.get("chance_top1"), "top5": found.get("chance_top5")}
    head = ["choice", "all scans together", "90% interval", "one scan, mean", "90% interval", "chance"]
    rows = [
        [title, found[key], _range(found, key), people.get(key), _range(people, key), chances[key]]
        for key, title in CHOICES.items()
        if found.get(key) is not None
    ]
    shown = table("Which clip was it? Share of clips identified from the scan", head, rows)
    return html([shown, paragraphs(f"Set size: {number(found.get('set_size'))} clips. {_p(found)}", CLIPS)])


def _range(found: Mapping[str, Any], key: str) -> str | None:
    interval = found.get(f"{key}_interval") or (found.get("interval") if key == "two_way" else None)
    return None if not interval else f"{number(interval[0])} to {number(interval[1])}"


def _p(found: Mapping[str, Any]) -> str:
    return f"p = {number(found.get('p'))} (one of two, all scans together)."
