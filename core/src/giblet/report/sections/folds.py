"""The folds that a pooled report is made of, each with a page of its own."""

from __future__ import annotations

from typing import Any

from giblet.report.markup import Html, Section, html, number, paragraphs, table, tag
from giblet.report.run_folder import RunFolder
from giblet.report.sections.summary import SCORES

MEANING = (
    "Every fold is trained from the beginning on other blocks and tested on a block that no other fold tests. "
    "Intervals resample people and pieces of 30 s of the test blocks, folds as they are; they do not cover other "
    "training data, nor another film."
)


def render(run: RunFolder) -> Section | None:
    """A row a fold, the mean, and links to the pages of the folds."""
    folds = run.metrics.get("folds") or {}
    if not folds:
        return None
    rows = [
        [f"fold {k}", r, ridge, SCORES.get(name, name), gain]
        for k, (r, ridge, name, gain) in enumerate(
            zip(folds["r"], folds["ridge_r"], folds["best_ridge"], folds["gains"], strict=True), 1
        )
    ]
    mean_ridge = sum(folds["ridge_r"]) / folds["n"]
    rows.append(["mean", folds["mean_r"], mean_ridge, "", folds["gain"]])
    shown = table("Held-out r by fold", ["fold", "model r", "best ridge r", "which ridge", "difference"], rows)
    return Section("folds", "Folds", html([shown, paragraphs(_intervals(folds), MEANING), _links(folds["n"])]))


def _intervals(folds: dict[str, Any]) -> str:
    spread = f"SD of r over folds: {number(folds['sd_r'])}."
    if folds["interval"] is None:
        return f"No intervals: a test of {min(folds['pieces'])} pieces of 30 s, as some fold has, gives none. {spread}"
    (a, b), (c, d) = folds["interval"], folds["gain_interval"]
    return f"90% interval of r: {number(a)} to {number(b)}; of the difference: {number(c)} to {number(d)}. {spread}"


def _links(n: int) -> Html:
    items = [tag("li", tag("a", f"report of fold {k}", href=f"fold-{k}/report.html")) for k in range(1, n + 1)]
    return tag("ul", *items)
