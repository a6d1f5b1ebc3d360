"""What was matched to what: every stream and scan of a run on the stimulus's clock, over the blocks of the split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from giblet.report.figures import BLUE, GREEN, GREY, INK, ORANGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLOCKS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
GAP = "gap"
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the plot: all that there is (pale), what of it is used (solid), in seconds of stimulus time."""

    name: str
    there: Span
    used: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Clock:
    """One run's TR grid: TR k begins at `start_s + k * tr_s` of the stimulus."""

    start_s: float
    tr_s: float
    n_trs: int

    def at_s(self, tr: float) -> float:
        """Where a TR begins."""
        return self.start_s + tr * self.tr_s

    def span(self, first: int, last: int) -> Span:
        """TRs as seconds."""
        return self.at_s(first), self.at_s(last)


def clock_of(inputs: Mapping[str, Any], run: str) -> Clock:
    """The clock of a run."""
    return Clock(**inputs["clocks"][run])


def rows_of(inputs: Mapping[str, Any], run: str) -> list[Row]:
    """The streams of a run's stimulus, then its scans; scans of one length share a line."""
    clock = clock_of(inputs, run)
    rows = [
        Row(_name(s), (s["start_s"], s["stop_s"]), [clock.span(a, b) for a, b in s["covered"]])
        for s in inputs["streams"]
        if s["clock"] == run
    ]
    return rows + list(_scans([s for s in inputs["scans"] if s["clock"] == run], clock))


def _name(stream: Mapping[str, Any]) -> str:
    signal, plugin = stream["signal"], stream["modality"]
    return plugin if plugin.startswith(f"{signal}_") else f"{signal}: {plugin}"


def _scans(scans: Sequence[Mapping[str, Any]], clock: Clock) -> Iterator[Row]:
    for n in sorted({s["n_volumes"] for s in scans}, reverse=True):
        people = [s["subject"] for s in scans if s["n_volumes"] == n]
        name = f"scan of {people[0]}" if len(people) == 1 else f"scans of {len(people)} people"
        yield Row(name, clock.span(0, n), [clock.span(0, min(n, clock.n_trs))])


def splits_of(split: Mapping[str, Sequence[Any]], run: str, n_trs: int) -> dict[str, list[tuple[str, int, int]]]:
    """The blocks of a run with the gaps between them, by fold where there are several; overlapping labels apart."""
    found = {name: blocks for name, blocks in split.items() if name == run or name.endswith(f": {run}")}
    lines: dict[str, list[tuple[str, int, int]]] = {}
    for name, blocks in found.items():
        title = "split" if name == run else name.removesuffix(f": {run}")
        given = sorted(((str(label), int(a), int(b)) for label, a, b in blocks), key=lambda b: b[1])
        if all(a[2] <= b[1] for a, b in pairwise(given)):
            lines[title] = list(_with_gaps([b for b in given if b[0] != GAP], n_trs))
        else:
            lines |= {f"{title}: {label}": [b for b in given if b[0] == label] for label in {b[0] for b in given}}
    return lines


def _with_gaps(blocks: Sequence[tuple[str, int, int]], n_trs: int) -> Iterator[tuple[str, int, int]]:
    at = 0
    for label, start, stop in blocks:
        if start > at:
            yield GAP, at, start
        yield label, start, stop
        at = stop
    if blocks and at < n_trs:
        yield GAP, at, n_trs


@styled
def alignment_plot(inputs: Mapping[str, Any], runs: Sequence[str]) -> Figure:
    """A panel a run; below its streams and scans a strip a split, whose colours go up through all of them."""
    parts = [(rows_of(inputs, r), splits_of(inputs.get("split", {}), r, clock_of(inputs, r).n_trs)) for r in runs]
    high = [len(rows) + len(splits) for rows, splits in parts]
    fig = new_figure(7.6, 0.27 * sum(high) + 0.95 * len(runs) + 0.3)
    axes = fig.subplots(len(runs), 1, squeeze=False, sharex=True, height_ratios=[n + 2 for n in high])[:, 0]
    for ax, run, (rows, splits) in zip(axes, runs, parts, strict=True):
        _panel(ax, clock_of(inputs, run), rows, splits)
        ax.set_title(_title(inputs, run), loc="left")
    for ax, run in zip(axes, runs, strict=True):
        _count_trs(ax, clock_of(inputs, run))
    axes[-1].set_xlabel("time in the stimulus (s)")
    _legend(fig)
    return fig


def _title(inputs: Mapping[str, Any], run: str) -> str:
    clock = clock_of(inputs, run)
    stimulus = next((s["stimulus"] for s in inputs["streams"] if s["clock"] == run), "the stimulus")
    return f"{run}: {clock.n_trs} TRs of {clock.tr_s:g} s, the first at {clock.start_s:g} s of {stimulus}"


def _panel(ax: Axes, clock: Clock, rows: Sequence[Row], splits: Mapping[str, Sequence[tuple[str, int, int]]]) -> None:
    for k, row in enumerate(rows):
        ax.broken_barh([(row.there[0], row.there[1] - row.there[0])], (k - 0.3, 0.6), color=GREY, alpha=0.3, lw=0)
        ax.broken_barh([(a, b - a) for a, b in row.used], (k - 0.3, 0.6), color=GREY, lw=0)
    for k, blocks in enumerate(splits.values(), len(rows)):
        for block in blocks:
            _block(ax, clock, block, k, up=len(splits) == 1)
    names = [*(r.name for r in rows), *splits]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for edge in clock.span(0, clock.n_trs):
        ax.axvline(edge, color=INK, linewidth=0.8, linestyle=":")


def _count_trs(ax: Axes, clock: Clock) -> None:
    """A second scale on top, in TRs; drawn when the limits stand."""
    top = ax.twiny()
    top.set_xlim(*((edge - clock.start_s) / clock.tr_s for edge in ax.get_xlim()))
    top.spines["left"].set_visible(False)
    top.spines["top"].set_visible(True)
    top.set_xlabel("TR", fontsize=8, labelpad=2)
    top.tick_params(labelsize=8, pad=1)


def _block(ax: Axes, clock: Clock, block: tuple[str, int, int], row: int, up: bool) -> None:
    label, (start, stop) = block[0], clock.span(*block[1:])
    here = [(start, stop - start)]
    if label == GAP:
        ax.broken_barh(here, (row - 0.35, 0.7), facecolor="none", edgecolor=INK, hatch="////", linewidth=0.4, alpha=0.6)
        return
    colour = BLOCKS.get(label, GREY)
    ax.broken_barh(here, (row - 0.35, 0.7), color=colour, lw=0)
    if up:
        ax.axvspan(start, stop, color=colour, alpha=0.14, lw=0, zorder=0)


def _legend(fig: Figure) -> None:
    from matplotlib.patches import Patch

    blocks = [Patch(color=colour, lw=0, label=name) for name, colour in BLOCKS.items()]
    gap = Patch(facecolor="none", edgecolor=INK, hatch="////", linewidth=0.4, label="gap: not used")
    used = [Patch(color=GREY, lw=0, label="used"), Patch(color=GREY, alpha=0.3, lw=0, label="cut or missing")]
    fig.legend(handles=[*blocks, gap, *used], loc="outside upper left", ncols=6, fontsize=8)
