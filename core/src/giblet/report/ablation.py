"""The picture of an ablation: a panel a score, a column a variant, a dot a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from giblet.report.figures import BLUE, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
MEGA = 1e6


def draw_ablation(result: Mapping[str, Any], path: Path) -> Path:
    """Write an `ablate.json` as a PNG: parameters, memory and step time, then each score, seed by seed."""
    rows = result["variants"]
    names = [r["name"] for r in rows]
    scores = list(rows[0]["scores"])
    high = -(-(3 + len(scores)) // COLUMNS)
    figure = new_figure(3.3 * COLUMNS, 0.75 * high + 0.28 * len(names) * high)
    figure.set_facecolor("white")
    panels = figure.subplots(high, COLUMNS, squeeze=False, sharey=True).ravel().tolist()
    _costs(panels, rows, result["reference"])
    for panel, score in zip(panels[3:], scores, strict=False):
        _seeds(panel, score, rows, result["cells"])
    for panel in panels[3 + len(scores) :]:
        panel.set_axis_off()
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    for panel in panels:
        panel.tick_params(labelsize=8)
        panel.locator_params(axis="x", nbins=4)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return path


def _costs(panels: Sequence[Axes], rows: Sequence[Mapping[str, Any]], reference: str) -> None:
    """Parameters and memory of the front ends, and the time of a step with its quartiles."""
    places = range(len(rows))
    for panel, key, title in zip(
        panels,
        ("parameters", "memory_bytes"),
        ("front-end parameters (M)", "memory of a step (MB)"),
        strict=False,
    ):
        panel.barh(places, [r["cost"][key] / MEGA for r in rows], color=GREY, height=0.6)
        panel.set_title(title, fontsize=9)
    timed = [(place, row) for place, row in zip(places, rows, strict=True) if row["cost"]["ratio"] is not None]
    for place, row in timed:
        panels[2].plot(row["cost"]["quartiles"], [place, place], color=GREY, lw=3, solid_capstyle="butt")
        panels[2].plot(row["cost"]["ratio"], place, "o", color=BLUE, ms=5)
    panels[2].axvline(1, color=GREY, lw=0.6)
    panels[2].set_title(f"front-end step time / {reference}", fontsize=9)


def _seeds(panel: Axes, score: str, rows: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> None:
    """One score: a dot a seed, a bar at the mean."""
    for place, row in enumerate(rows):
        seen = [c["scores"][score] for c in cells if c["settings"] == row["settings"]]
        known = [v for v in seen if v is not None]
        panel.plot(known, [place] * len(known), "o", color=BLUE, ms=4, alpha=0.7, mew=0)
        if known:
            panel.plot([row["scores"][score]["mean"]] * 2, [place - 0.3, place + 0.3], color=GREY, lw=2)
    panel.set_title(score, fontsize=9)
