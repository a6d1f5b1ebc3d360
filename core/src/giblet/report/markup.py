"""HTML that is escaped unless it was built here, and numbers as a reader wants them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real

VOID = frozenset({"img", "input", "meta"})
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
ABSENT = "\N{EN DASH}"


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
    """A number to three significant digits, a count (int) whole, a missing value as a dash."""
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
    short = f"{value:.3g}"
    mantissa, _, exponent = short.partition("e")
    if exponent and int(exponent) < 0:
        return f"{mantissa} {TIMES} 10^{int(exponent)}".replace("-", MINUS)
    return (f"{float(short):,.0f}" if exponent or abs(value) >= 1000 else short).replace("-", MINUS)


def html(value: object) -> Html:
    """Markup as it is, lists joined, everything else as escaped text."""
    if isinstance(value, Html):
        return value
    if isinstance(value, list | tuple):
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
    body = [tag("tr", tag("th", row[0], scope="row"), [_cell(v) for v in row[1:]]) for row in rows]
    first, *others = head
    titles = [tag("th", first, scope="col")] + [tag("th", h, scope="col") for h in others]
    inner = tag("table", tag("caption", caption), tag("thead", tag("tr", titles)), tag("tbody", body))
    classes = "scroll" if class_ is None else f"scroll {class_}"
    return tag("div", inner, class_=classes, tabindex="0", role="region", aria_label=caption)


def _cell(value: object) -> Html:
    if isinstance(value, str):
        return tag("td", value)
    return tag("td", number(value), class_="number")


def folded(title: str, *children: object, open_: bool = False) -> Html:
    """Detail that a reader opens."""
    return tag("details", tag("summary", title), *children, open=open_)


def figure(drawing: Html, caption: str, class_: str | None = None) -> Html:
    """A picture with its caption."""
    return tag("figure", drawing, tag("figcaption", caption), class_=class_)
