"""Which scans and streams went in, how they lie on each other, and which blocks were held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from giblet.report.figures import BLUE, GREEN, GREY, INK, ORANGE, new_figure, styled, svg
from giblet.report.markup import Html, Section, figure, folded, html, table, tag
from giblet.report.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    "stimulus": "stimulus",
    "modality": "modality",
    "samples": "samples",
    "rate_hz": "rate (Hz)",
    "frames_per_tr": "most samples a TR",
    "covered_trs": "TRs covered",
    "n_trs": "TRs",
}
BLOCKS = {"train": BLUE, "validation": ORANGE, "test": GREEN, "gap": "none"}
FOLD_ABOVE = 12


def render(run: RunFolder) -> Section | None:
    """Split and alignment plot, then the tables of scans and streams."""
    scans, streams = run.inputs.get("scans", []), run.inputs.get("streams", [])
    split = run.inputs.get("split", {})
    parts = [
        _split(split, streams) if split else None,
        _table("Scans. Offset: the stimulus time at which volume 0 begins.", SCANS, scans) if scans else None,
        _table("Streams of the stimuli, binned onto the TR grid without stretching.", STREAMS, streams)
        if streams
        else None,
        tag("ul", *(tag("li", n) for n in run.inputs["notes"])) if run.inputs.get("notes") else None,
    ]
    return Section("inputs", "Inputs and alignment", html(parts)) if any(parts) else None


def _table(caption: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> Html:
    shown = table(caption, list(columns.values()), [[_plain(r.get(c)) for c in columns] for r in rows], "tall")
    return folded(f"{caption.split('.')[0]} ({len(rows)} rows)", shown) if len(rows) > FOLD_ABOVE else shown


def _plain(value: Any) -> Any:
    """Settings are shown as they were given; only measured numbers are rounded."""
    return f"{value:g}" if isinstance(value, float) else value


def _split(split: Mapping[str, Any], streams: Sequence[Mapping[str, Any]]) -> Html:
    said = "; ".join(f"{run}: " + ", ".join(f"{n} {a} to {b}" for n, a, b in blocks) for run, blocks in split.items())
    caption = "Blocks of each run, in TRs. Nothing in a gap (hatched) or a test block is learned from."
    return figure(svg(split_plot(split, streams), f"Split of the runs into blocks of TRs. {said}"), caption, "wide")


@styled
def split_plot(split: Mapping[str, Sequence[tuple[str, int, int]]], streams: Sequence[Mapping[str, Any]]) -> Figure:
    """A row of blocks for each run and a thin line for each stream's cover."""
    rows = len(split) + len(streams)
    fig = new_figure(7.6, 0.9 + 0.42 * len(split) + 0.22 * len(streams))
    ax = fig.add_subplot()
    ticks: list[tuple[float, str]] = []
    for k, (run, blocks) in enumerate(split.items()):
        ticks.append((k, run))
        for name, start, stop in blocks:
            _block(ax, k, name, start, stop)
    for k, stream in enumerate(streams):
        at = len(split) + 0.55 * k
        ticks.append((at, f"{stream['stimulus']} · {stream['modality']}"))
        ax.barh(at, stream.get("n_trs", 0), height=0.08, color=GREY, alpha=0.35)
        ax.barh(at, stream.get("covered_trs", 0), height=0.2, color=GREY)
    ax.set_yticks([t for t, _ in ticks], [n for _, n in ticks])
    ax.set_ylim(max(t for t, _ in ticks) + 0.5, -0.6)
    ax.set_xlabel("TR" + ("   (thin bars: TRs that a stream covers)" if rows > len(split) else ""))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return fig


def _block(ax: Any, row: int, name: str, start: int, stop: int) -> None:
    gap = name == "gap"
    ax.barh(
        row,
        stop - start,
        left=start,
        height=0.66,
        color=BLOCKS.get(name, GREY),
        edgecolor=INK if gap else "none",
        hatch="////" if gap else None,
        linewidth=0.4,
        alpha=0.45 if gap else 1,
    )
    wide = stop - start >= 0.07 * ax.dataLim.xmax
    if wide and not gap:
        ax.text((start + stop) / 2, row, f"{name}", ha="center", va="center", color="white", fontsize=8)
