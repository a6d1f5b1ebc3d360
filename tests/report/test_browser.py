"""The page in a real browser: does it open, fit, stand out, and can it be read without a mouse or a screen?"""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import pytest
from page_browser import NEEDS_CHROMIUM, TAB, Browser

pytestmark = NEEDS_CHROMIUM

TROUBLE = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}


def test_it_opens_without_an_error_or_a_request(page: Browser, written: Path) -> None:
    assert [e for e in page.events if e["method"] in TROUBLE] == []
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [(written / "report.html").as_uri()]


UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
LOST = """[...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll, svg, video, audio, select")
  && e.getBoundingClientRect().right > %d + 1).map((e) => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [400, 700, 1400])
def test_nothing_is_wider_than_the_screen(page: Browser, width: int) -> None:
    page.show(width)
    page.run(UNFOLD)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run(LOST % width) == []


CONTRAST = """(() => {
  const rgb = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const linear = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (x, y) => (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  const ratio = (a, b) => over(light(a), light(b));
  const ground = (e) => rgb(getComputedStyle(e).backgroundColor);
  const behind = (e) => { while (ground(e).length === 4 && ground(e)[3] === 0) e = e.parentElement; return ground(e); };
  const texts = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.data.trim()) texts.add(walk.currentNode.parentElement);
  const shown = [...texts].filter((e) => !e.closest("script, style, defs") && e.getClientRects().length);
  const ratios = shown.map((e) => { const svg = e.closest("svg"), style = getComputedStyle(e);
    return ratio(rgb(svg ? style.fill : style.color), behind(svg ? svg.parentElement : e)); });
  const edges = [...document.querySelectorAll("button, select")].map((e) =>
    ratio(rgb(getComputedStyle(e).borderColor), behind(e.parentElement)));
  const paper = getComputedStyle(document.body).backgroundColor;
  return { least: Math.min(...ratios), count: ratios.length, edge: Math.min(...edges), paper };
})()"""


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_every_word_stands_out_from_its_ground(page: Browser, scheme: str, paper: str) -> None:
    page.show(scheme=scheme)
    page.run(UNFOLD)
    seen = page.run(CONTRAST)
    assert seen["paper"] == paper
    assert seen["count"] > 500
    assert seen["least"] >= 4.5
    assert seen["edge"] >= 3


NAMED = {"button", "slider", "combobox", "link", "image", "Video", "Audio", "navigation", "region", "table"}
UNNAMED = """[...document.querySelectorAll("svg, .scroll, video, audio")].filter((e) => !e.ariaLabel).length
  + [...document.querySelectorAll("th")].filter((h) => !h.scope).length
  + document.querySelectorAll("table:not(:has(caption))").length"""


def test_headings_come_in_order_and_every_control_and_picture_has_a_name(page: Browser) -> None:
    page.show()
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert page.run("document.documentElement.lang") == "en"
    nodes = [n for n in page.send("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]
    found = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes]
    assert NAMED - {role for role, _ in found} == set()
    assert [role for role, name in found if role in NAMED and not name.strip()] == []
    assert page.run(UNNAMED) == 0


WATCH = """(() => {
  window.reached = new Set(); window.dim = 0; document.activeElement.blur(); scrollTo(0, 0);
  document.addEventListener("focusin", (e) => {
    reached.add(e.target); if (getComputedStyle(e.target).outlineStyle === "none") dim += 1; });
  const all = "button, input, select, audio, summary, .skip, nav a, .scroll[tabindex]";
  window.controls = [...document.querySelectorAll(all)].filter((e) => e.checkVisibility());
  return controls.length;
})()"""


def test_the_tab_key_reaches_every_control_and_shows_where_it_is(page: Browser) -> None:
    page.show(400)
    assert page.run(WATCH) > 30
    for _ in range(600):
        page.press(TAB)
        if page.run("controls.every((c) => reached.has(c))"):
            break
    assert page.run("controls.filter((c) => !reached.has(c)).map((c) => c.outerHTML.slice(0, 90))") == []
    assert page.run("dim") == 0


WIDER = "(b.scrollWidth > b.clientWidth + 1 || b.scrollHeight > b.clientHeight + 1)"
BOXES = "[...document.querySelectorAll('.scroll')].filter((b) => b.checkVisibility())"


@pytest.mark.parametrize("width", [400, 1400])
def test_what_overflows_can_be_scrolled_by_keyboard_and_nothing_else_takes_focus(page: Browser, width: int) -> None:
    page.show(width)
    assert page.wait(f"{BOXES}.every((b) => b.hasAttribute('tabindex') === {WIDER})")


MOVING = """[...document.querySelectorAll("*")].filter((e) => { const s = getComputedStyle(e);
  return s.animationName !== "none" || parseFloat(s.transitionDuration) > 0 || e.autoplay; }).length"""


def test_nothing_moves_for_those_who_do_not_want_it(page: Browser) -> None:
    page.show(motion="reduce")
    assert page.run("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.run(MOVING) == 0


FOLDED = "document.querySelectorAll('details:not([open])').length"


def test_it_prints_on_white_with_all_that_is_folded_and_without_controls(page: Browser) -> None:
    page.show(scheme="dark", media="print")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.run("document.querySelector('.transport').checkVisibility()")
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
    page.run(f"addEventListener('beforeprint', () => {{ window.left = {FOLDED}; }})")
    assert base64.b64decode(page.send("Page.printToPDF")["data"]).startswith(b"%PDF")
    assert page.run("left") == 0
    assert page.run("document.querySelectorAll('details[open]').length") == 0
