"""Which scans and streams went in, how they lie on each other, and which blocks were held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from giblet.report.alignment import alignment_plot, clock_of, rows_of, splits_of
from giblet.report.figures import svg
from giblet.report.markup import Html, Section, figure, folded, html, number, paragraphs, table, tag
from giblet.report.run_folder import RunFolder

SCANS = {
    "subject": "subject",
    "run": "run",
    "stimulus": "stimulus",
    "bold": "scan",
    "tr_s": "TR (s)",
    "offset_s": "offset (s)",
    "n_volumes": "volumes",
    "n_trs": "TRs used",
    "cut_scan_s": "scan cut (s)",
    "cut_stimulus_s": "stimulus cut (s)",
}
STREAMS = {
    "clock": "run",
    "stimulus": "stimulus",
    "signal": "signal",
    "modality": "modality",
    "samples": "samples",
    "rate_hz": "rate (Hz)",
    "frames_per_tr": "most samples a TR",
    "start_s": "from (s)",
    "stop_s": "to (s)",
    "covered_trs": "TRs covered",
    "n_trs": "TRs",
}
GIVEN = frozenset({"tr_s", "offset_s"})
"""Shown as they were given; what was measured is rounded."""
CAPTION = (
    "What was matched to what: each run on the clock of its stimulus. Solid: used, pale: there, but cut (no partner at "
    "that time) or without a sample in that TR. Dotted: the first and the last TR. Nothing in a gap or a test block is "
    "learned from."
)
OLDER = "This run was made by an older giblet, which did not keep its clocks: there is no alignment plot."
DRAWN = 4
FOLD_ABOVE = 12


def render(run: RunFolder) -> Section | None:
    """Alignment plot, then the tables of scans and streams."""
    scans, streams = run.inputs.get("scans", []), run.inputs.get("streams", [])
    parts = [
        *_alignment(run.inputs),
        paragraphs(OLDER) if (scans or streams) and not run.inputs.get("clocks") else None,
        _table("Scans. Offset: the stimulus time at which volume 0 begins.", SCANS, scans) if scans else None,
        _table("Streams of the stimuli, binned onto the TR grid without stretching.", STREAMS, streams)
        if streams
        else None,
        tag("ul", *(tag("li", n) for n in run.inputs["notes"])) if run.inputs.get("notes") else None,
    ]
    return Section("inputs", "Inputs and alignment", html(parts)) if any(parts) else None


def _alignment(inputs: Mapping[str, Any]) -> list[Html]:
    """The plot of the first runs, and, folded away, those of the others."""
    runs = list(inputs.get("clocks", {}))
    pages = [runs[k : k + DRAWN] for k in range(0, len(runs), DRAWN)]
    shown = [_figure(inputs, page) for page in pages]
    return [*shown[:1], folded(f"The other {len(runs) - DRAWN} runs", *shown[1:])] if len(pages) > 1 else shown


def _figure(inputs: Mapping[str, Any], runs: Sequence[str]) -> Html:
    said = " ".join(_said(inputs, run) for run in runs)
    return figure(svg(alignment_plot(inputs, runs), f"Alignment. {said}"), CAPTION, "wide")


def _said(inputs: Mapping[str, Any], run: str) -> str:
    """The plot of a run in words."""
    clock = clock_of(inputs, run)
    rows = ", ".join(f"{r.name} {r.there[0]:.0f} to {r.there[1]:.0f} s" for r in rows_of(inputs, run))
    splits = splits_of(inputs.get("split", {}), run, clock.n_trs)
    said = "; ".join(f"{name}: " + ", ".join(f"{n} TR {a} to {b}" for n, a, b in bs) for name, bs in splits.items())
    grid = f"{clock.n_trs} TRs of {clock.tr_s:g} s from {clock.start_s:g} s of the stimulus"
    return f"{run}: {grid}; {rows}; {said}."


def _table(caption: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Html:
    """The columns that at least one row has; a run of an older giblet lacks some."""
    there = {c: title for c, title in columns.items() if any(r.get(c) is not None for r in rows)}
    cells = [[f"{r[c]:g}" if c in GIVEN and c in r else r.get(c) for c in there] for r in rows]
    shown = table(caption, list(there.values()), cells)
    return folded(f"{caption.split('.')[0]} ({number(len(rows))} rows)", shown) if len(rows) >= FOLD_ABOVE else shown
