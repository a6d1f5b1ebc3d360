"""The tables that every kind of reconstruction has: losses, metrics beside their controls, identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.markup import Html, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

LOSSES = {
    "measured": legend.MEASURED,
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


def _identification(found: Mapping[str, Any]) -> Html:
    if not found:
        return Html()
    chance = found.get("chance_top1")
    size = found.get("set_size")
    top5 = None if not size else min(1.0, 5 / size)
    chances = {"two_way": 0.5, "top1": chance, "top5": top5}
    names = {"two_way": "right one of two", "top1": "right one of all", "top5": "among the best five"}
    rows = [[title, found[key], chances[key]] for key, title in names.items() if found.get(key) is not None]
    shown = table("Which clip was it? Share of clips identified from the scan", ["choice", "share", "chance"], rows)
    low, high = found.get("interval") or (None, None)
    said = f"Set size: {number(size)} clips. p = {number(found.get('p'))}."
    return html(
        [
            shown,
            paragraphs(
                said + ("" if low is None else f" 90% interval of one of two: {number(low)} to {number(high)}.")
            ),
        ]
    )
