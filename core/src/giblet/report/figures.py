"""Drawings as SVG inside the page: their ink takes the colour of the text around them, light or dark."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from giblet.report.markup import Html, number, tag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

INK = "#010203"
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3b82c4", "#cf7420", "#2f9560", "#9a62c7", "#858b95"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#c2506e", "#2a9aa5", "#98892c", GREY)
STYLE = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "giblet",
    "image.composite_image": False,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function in the page's style; glyphs that matplotlib's font lacks are the browser's business."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
            return draw(*args, **kwargs)

    return inner


def new_figure(width: float, height: float) -> Figure:
    """A figure without pyplot, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@styled
def svg(fig: Figure, alt: str) -> Html:
    """A figure as an inline SVG; its ids are made unique, so that several live on one page."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"]))
    text = re.sub(r"<metadata>.*?</metadata>|<g id=\"[^\"]*\"", _tidy, buffer.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    mark = "f" + hashlib.sha256(f"{alt}{text}".encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{mark}", text)
    head = tag("svg", role="img", aria_label=alt).removesuffix("></svg>")
    return Html(text.replace("<svg", head, 1))


def _tidy(match: re.Match[str]) -> str:
    return "<g" if match[0].startswith("<g") else ""


@styled
def save_png(fig: Figure, path: Path) -> Path:
    """A figure as a PNG on white, moved into place whole."""
    from giblet.media import replacing

    with replacing(path) as part:
        fig.savefig(part, format="png", dpi=150, facecolor="white")
    return path


@styled
def bars(
    values: Mapping[str, float],
    chance: float | None,
    chance_name: str,
    unit: str,
    *,
    own: Collection[str] = ("model",),
    spread: Mapping[str, Sequence[float] | None] | None = None,
    dots: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Horizontal bars with their numbers, whiskers (`spread`) and a dot a person; dashed: what chance reaches."""
    fig = new_figure(4.8, 0.3 * len(values) + 0.75)
    ax = fig.add_subplot()
    names = list(values)[::-1]
    colours = [BLUE if n in own else GREY for n in names]
    ax.barh(names, [values[n] for n in names], color=colours, height=0.62, alpha=0.8)
    for row, name in enumerate(names):
        _around(ax, row, values[name], (spread or {}).get(name) or [], (dots or {}).get(name, []))
    if chance is not None:
        ax.axvline(chance, color=INK, linestyle="--", linewidth=1)
        ax.set_title(f"dashed: {chance_name}", loc="right", fontsize=8)
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.margins(x=0.14)
    ax.set_xlabel(unit)
    return fig


def _around(ax: Axes, row: int, value: float, low_high: Sequence[float], seen: Sequence[float]) -> None:
    """A bar's whisker, its dots, and its number behind all of them."""
    if low_high:
        ax.plot(low_high, [row, row], color=INK, linewidth=1.4, marker="|", markersize=7)
    ax.plot(seen, [row] * len(seen), "o", color=INK, markersize=2.6, markeredgewidth=0, alpha=0.6)
    end = max([value, 0, *seen, *low_high])
    ax.annotate(number(value), (end, row), (5, 0), textcoords="offset points", va="center")


@styled
def grouped(
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    ceiling: Sequence[Any],
    unit: str = "r",
    spread: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> Figure:
    """Bars of several series for each group, whiskers (`spread`), and the ceiling as a line over each group."""
    fig = new_figure(max(4.2, 0.75 * len(groups) + 1), 2.9)
    ax = fig.add_subplot()
    width = 0.8 / len(series)
    for k, (name, heights) in enumerate(series.items()):
        at = [g - 0.4 + width * (k + 0.5) for g in range(len(groups))]
        ax.bar(at, [h or 0 for h in heights], width * 0.92, label=name, color=COLOURS[k % len(COLOURS)])
        for x, low_high in zip(at, (spread or {}).get(name, []), strict=False):
            ax.plot([x, x], low_high, color=INK, linewidth=1)
    known = [(g, c) for g, c in enumerate(ceiling) if c is not None]
    if known:
        ax.hlines(
            [c for _, c in known], [g - 0.45 for g, _ in known], [g + 0.45 for g, _ in known], INK, label="ceiling"
        )
    ax.axhline(0, color=INK, linewidth=0.6)
    turned = len(groups) > 7 or max(map(len, groups)) > 12
    ax.set_xticks(range(len(groups)), groups, rotation=30 if turned else 0, ha="right" if turned else "center")
    ax.set_ylabel(unit)
    fig.legend(loc="outside upper left", ncols=4, fontsize=8)
    return fig


@styled
def curve(rows: Sequence[Mapping[str, Any]], title: str, constant: float, summed: bool = False) -> Figure:
    """Training and validation loss of one stage over its steps, and that of the best constant predictor (dotted).

    A training loss that is `summed` over much more than the validation loss has a scale of its own, on the right.
    """
    fig = new_figure(4.4, 2.7)
    ax = fig.add_subplot()
    other = ax.twinx() if summed else ax
    for key, colour, marker, own in (("train", BLUE, None, other), ("validation", ORANGE, ".", ax)):
        points = [(r["step"], r[key]) for r in rows if r.get(key) is not None]
        if points:
            own.plot(*zip(*points, strict=True), color=colour, marker=marker, linewidth=1.3, label=key)
    ax.axhline(constant, color=INK, linestyle=":", linewidth=1, label="best constant")
    if summed:
        other.spines["right"].set_visible(True)
        other.set_ylabel("train: sum of losses")
        ax.set_ylabel("validation: relative loss")
    else:
        ax.set_ylabel("relative loss")
    ax.set_title(title, loc="left")
    ax.set_xlabel("step")
    fig.legend(loc="outside upper right", ncols=3, fontsize=8)
    return fig
