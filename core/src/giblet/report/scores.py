"""The tables that every kind of reconstruction has: losses, metrics beside their controls, identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.markup import Html, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

LOSSES = {
    "measured": legend.MEASURED,
    "faint": legend.FAINT,
    "noisy": legend.NOISY,
    "predicted": legend.PREDICTED,
    "permuted": legend.PERMUTED,
}
COLUMNS = {name: title for name, title in legend.VERSIONS.items() if name != "original"}
NAMES = {
    "top1": "right one of all",
    "top5": "among the best five",
    "two_way": "right one of two",
    "chance_top1": "chance, right one of all",
    "chance_top5": "chance, among the best five",
    "chance_two_way": "chance, right one of two",
    "median_rank": "median rank of the right one",
    "chance_median_rank": "chance, median rank",
    "set_size": "texts to choose from",
    "ranked": "samples whose text is among them",
    "token_f1": "words, F1",
    "bleu": "words, BLEU",
    "inverted_token_f1": "inverted words, F1",
    "inverted_bleu": "inverted words, BLEU",
}
CHOICES = {"two_way": "right one of two", "top1": "right one of all", "top5": "among the best five"}


def score_tables(run: RunFolder, kind: str, *, metrics: bool = True) -> Html:
    """All tables of a kind, without that of the reconstructions' quality if not `metrics`; nothing if not scored."""
    scores = run.metrics.get(kind) or {}
    how = [scores[k] for k in ("modality", "how") if scores.get(k)]
    quality = {k: v for k, v in scores.items() if k in COLUMNS and isinstance(v, Mapping) and v}
    return html(
        [
            paragraphs(f"Made by {', '.join(map(str, how))}.") if how else None,
            _losses(kind, scores.get("loss") or {}),
            _metrics(kind, quality, legend.stretch(", ", scores)) if metrics else None,
            _identification(kind, scores.get("identification") or {}),
        ]
    )


def _losses(kind: str, loss: Mapping[str, Any]) -> Html:
    if not loss:
        return Html()
    columns = [*(name for name in LOSSES if name in loss), *(name for name in loss if name not in LOSSES)]
    return table(
        f"Relative loss of {kind} on test blocks: 0 is perfect, 1 a constant",
        ["from", *columns],
        [["loss", *(loss[c] for c in columns)]],
    )


def _metrics(kind: str, scores: Mapping[str, Mapping[str, Any]], over: str) -> Html:
    if not scores:
        return Html()
    columns = [c for c in COLUMNS if c in scores]
    names = list(dict.fromkeys(name for c in columns for name in scores[c]))
    rows = [[NAMES.get(name, name.replace("_", " ")), *(scores[c].get(name) for c in columns)] for name in names]
    return table(f"Quality of {kind} beside its controls{over}", ["metric", *(COLUMNS[c] for c in columns)], rows)


def _identification(kind: str, found: Mapping[str, Any]) -> Html:
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
    n = f"{number(found.get('n_clips'))} clips, {number(found.get('set_size'))} to choose from on average"
    who = f"; {people['n']} people" if people.get("n") else ""
    shown = table(f"Which clip was it? Share identified from {kind}", head, rows)
    return html([shown, paragraphs(f"{n}{who}. p = {number(found.get('p'))} (one of two, all scans together).")])


def _range(found: Mapping[str, Any], key: str) -> str | None:
    return legend.span(found.get(f"{key}_interval") or (found.get("interval") if key == "two_way" else None))
