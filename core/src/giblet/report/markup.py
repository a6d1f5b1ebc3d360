"""HTML that is escaped unless it was built here, and numbers as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real

VOID = frozenset({"img", "input", "meta"})
MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"
SHORT = 24
"""Letters that a table's cell keeps on one line."""


class Html(str):
    """Markup made by this module; every other string is escaped before it enters the page."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with the anchor that the contents list points to."""

    anchor: str
    title: str
    body: Html


def number(value: object) -> str:
    """A number to three digits (three places below 1), a count (int) whole, a missing value as a dash."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return _rounded(float(value))
    return str(value)


def _rounded(value: float) -> str:
    if not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    if abs(value) < 1:
        shown = f"{value:.3f}" if abs(value) >= 0.0005 else f"{value:.0e}".replace("e-0", "e-")
    else:
        rounded = float(f"{value:.3g}")
        shown = f"{rounded:,.{max(0, 2 - int(math.log10(abs(rounded))))}f}"
    return shown.replace("-", MINUS)


def html(value: object) -> Html:
    """Markup as it is, lists joined, everything else as escaped text."""
    if isinstance(value, Html):
        return value
    if isinstance(value, list | tuple | map):
        return Html("".join(html(v) for v in value))
    return Html(escape(number(value) if not isinstance(value, str) else value)) if value is not None else Html()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element; `class_` stands for class, `aria_label` for aria-label, True for a bare attribute, None for none."""
    shown = "".join(_attribute(k.rstrip("_").replace("_", "-"), v) for k, v in attributes.items())
    return Html(f"<{name}{shown}>") if name in VOID else Html(f"<{name}{shown}>{html(list(children))}</{name}>")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def paragraphs(*texts: str) -> Html:
    """Notes below a table or figure."""
    return html([tag("p", t, class_="note") for t in texts if t])


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], class_: str | None = None) -> Html:
    """A captioned table that scrolls sideways on a narrow screen; the first cell of a row is its header."""
    cells = [list(row) for row in rows]
    counted = [k > 0 and all(not isinstance(row[k], str) for row in cells) for k in range(len(head))]
    body = [tag("tr", tag("th", row[0], scope="row"), map(_cell, row[1:], counted[1:])) for row in cells]
    titles = [tag("th", h, scope="col", class_="number" if c else None) for h, c in zip(head, counted, strict=True)]
    inner = tag("table", tag("caption", tag("span", caption)), tag("thead", tag("tr", titles)), tag("tbody", body))
    return scrolling(inner, caption, class_)


def scrolling(wide: Html, name: str, class_: str | None = None) -> Html:
    """What may be wider than the screen scrolls inside itself, by keyboard, too."""
    classes = "scroll" if class_ is None else f"scroll {class_}"
    return tag("div", wide, class_=classes, tabindex="0", role="group", aria_label=name)


def _cell(value: object, counted: bool) -> Html:
    text = value if isinstance(value, str) else number(value)
    return tag("td", text, class_="number" if counted else "short" if len(text) <= SHORT else None)


def folded(title: str, *children: object, open_: bool = False) -> Html:
    """Detail that a reader opens."""
    return tag("details", tag("summary", title), *children, open=open_)


def figure(drawing: Html, caption: str, class_: str | None = None) -> Html:
    """A picture with its caption; a `wide` one scrolls on a narrow screen."""
    shown = scrolling(drawing, f"Figure: {caption}", "wide") if class_ == "wide" else drawing
    return tag("figure", shown, tag("figcaption", caption), class_=class_)
