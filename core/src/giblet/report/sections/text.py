"""The words beside those that were recovered, with the rank that the right ones had."""

from __future__ import annotations

import csv
from pathlib import Path

from giblet.report.markup import Html, Section, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder, label
from giblet.report.scores import score_tables

SHOWN = 100
NEAREST, INVERTED = "nearest", "inverted"
"""Columns of a table of recovered texts where an inverter was named; else `recovered` is the nearest."""
Rows = dict[float, dict[str, str]]


def render(run: RunFolder) -> Section | None:
    """Table of words and scores."""
    tables = {c: p for c, p in run.reconstructions("text", ".tsv").items() if c != "original"}
    parts = [_words({c: _read(p) for c, p in tables.items()}) if tables else None, score_tables(run, "text")]
    return Section("text", "Words", html(parts)) if any(parts) else None


def _read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return {float(row["onset_s"]): row for row in csv.DictReader(file, delimiter="\t")}


def _words(tables: dict[str, Rows]) -> Html:
    merged = {onset: row["original"] for rows in tables.values() for onset, row in rows.items()}
    onsets = sorted(merged)
    made_up = any(INVERTED in row for rows in tables.values() for row in rows.values())
    more_heads = ["made up by inversion"] if made_up else []
    head = ["time", "original", *(h for c in tables for h in (label(c), "rank", *more_heads))]
    rows = [
        [_clock(t), merged[t], *(cell for one in tables.values() for cell in _cells(one.get(t), made_up=made_up))]
        for t in onsets[:SHOWN]
    ]
    shown = table(
        "Words of the test block and the nearest that were found; rank 1: the right words were the nearest",
        head,
        rows,
        "tall",
    )
    more = (
        f"The first {SHOWN} of {number(len(onsets))} are shown; all are in reconstructions/text."
        if len(onsets) > SHOWN
        else ""
    )
    return html([shown, paragraphs(more)])


def _cells(row: dict[str, str] | None, *, made_up: bool) -> list[object]:
    """The nearest text, the rank of the right one, and where some are `made_up` the text by inversion."""
    if row is None:
        return [None] * (2 + made_up)
    rank = row.get("rank") or ""
    place = _place(float(rank)) if rank.replace(".", "", 1).isdigit() else None
    nearest = row.get(NEAREST) or row.get("recovered") or ""
    return [nearest, place, *([row.get(INVERTED) or ""] if made_up else [])]


def _place(rank: float) -> int | float:
    """A rank as it is read: whole, but for a tie."""
    return int(rank) if rank.is_integer() else rank


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"
