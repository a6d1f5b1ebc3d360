"""The page in a real browser: headless Chromium, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
MAY_SKIP = CHROMIUM is None and "GIBLET_REQUIRE_ALL" not in os.environ
pytestmark = pytest.mark.skipif(MAY_SKIP, reason="no chromium here: the page was not tried in a browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --mute-audio "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe"
)
PATIENCE_S = 60
TAB, HOME, ENTER, SPACE = ("Tab", 9, ""), ("Home", 36, ""), ("Enter", 13, "\r"), (" ", 32, " ")
RIGHT, DOWN = ("ArrowRight", 39, ""), ("ArrowDown", 40, "")


class Browser:
    """Commands go to the browser's descriptor 3, answers and events come from its 4; a zero byte ends each."""

    def __init__(self, profile: Path) -> None:
        theirs, self.out = os.pipe()
        self.back, their_out = os.pipe()
        command = f'exec "{CHROMIUM}" {FLAGS} --user-data-dir="{profile}" 3<&{theirs} 4>&{their_out} 2>/dev/null'
        self.process = subprocess.Popen(["bash", "-c", command], pass_fds=(theirs, their_out))
        os.close(theirs)
        os.close(their_out)
        self.number, self.buffer, self.session = 0, b"", None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        self.session = None
        self.send("Browser.close")
        self.process.wait(PATIENCE_S)
        os.close(self.out)
        os.close(self.back)

    def send(self, method: str, **params: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        os.write(self.out, json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            assert select.select([self.back], [], [], PATIENCE_S)[0], "the browser is silent"
            more = os.read(self.back, 1 << 20)
            assert more, "the browser has ended"
            self.buffer += more
        message, _, self.buffer = self.buffer.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        self.events += [parsed] if "method" in parsed else []
        return parsed

    def open(self, page: Path) -> None:
        self.send("Page.navigate", url=page.as_uri())
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.receive()

    def show(
        self, width: int = 1000, scheme: str = "light", media: str = "screen", motion: str = "no-preference"
    ) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        features = [{"name": k, "value": v} for k, v in wanted.items()]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def run(self, code: str) -> Any:
        """The value of an expression; promises are waited for."""
        done = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: tuple[str, int, str]) -> None:
        name, number, text = key
        same = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": number}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **same)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def wait(self, condition: str) -> bool:
        """Whether an expression becomes true within seconds."""
        again = "Date.now() - t > 8000 ? r(false) : setTimeout(f, 20)"
        poll = f"const t = Date.now(), f = () => ({condition}) ? r(true) : {again};"
        return bool(self.run(f"new Promise((r) => {{ {poll} f(); }})"))


@pytest.fixture(scope="module")
def page(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that shows the page of a whole run; one for all tests, each of which sets what it needs."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.show()
    browser.open(written / "report.html")
    yield browser
    browser.close()


TROUBLE = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}


def test_it_opens_without_an_error_or_a_request(page: Browser, written: Path) -> None:
    assert [e for e in page.events if e["method"] in TROUBLE] == []
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [(written / "report.html").as_uri()]


PICTURES = """Promise.all([...document.querySelectorAll("img, image")].map((i) => {
  const p = new Image(); p.src = i.src || i.href.baseVal; return p.decode().then(() => p.naturalWidth); }))"""
MEDIA = "[...document.querySelectorAll('video, audio')]"
FILMS = "[...document.querySelectorAll('video')]"


def test_pictures_and_media_decode(page: Browser) -> None:
    widths = page.run(PICTURES)
    assert len(widths) > 20
    assert min(widths) > 1
    page.run(f"{MEDIA}.forEach((m) => {{ m.preload = 'auto'; m.load(); }})")
    assert page.wait(f"{MEDIA}.every((m) => m.readyState >= 2 && !m.error)")
    lengths = page.run(f"{MEDIA}.map((m) => m.duration)")
    assert lengths == pytest.approx([2.4] * 5 + [3.0] * 5, abs=0.15)
    assert page.run(f"{FILMS}.every((v) => v.videoWidth === 160 && v.videoHeight === 90)")


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


def test_films_play_together_and_stop_by_keyboard(page: Browser) -> None:
    page.show()
    page.run("document.querySelector('.transport button').focus()")
    page.press(ENTER)
    assert page.wait(f"{FILMS}.every((v) => !v.paused && v.currentTime > 0.1)")
    assert page.run("document.querySelector('.transport button').textContent") == "Pause all"
    assert page.run(f"{FILMS}.filter((v) => !v.muted).length") == 1
    page.press(SPACE)
    assert page.wait(f"{FILMS}.every((v) => v.paused)")


def test_films_are_searched_and_heard_by_keyboard(page: Browser) -> None:
    page.run(f"{FILMS}.forEach((v) => v.pause())")
    page.run("document.querySelector('.transport input').focus()")
    page.press(HOME)
    assert page.wait(f"{FILMS}.every((v) => v.currentTime === 0)")
    for _ in range(40):
        page.press(RIGHT)
    assert page.wait(f"{FILMS}.every((v) => v.currentTime > 0.5)")
    page.run("document.querySelector('.transport select').focus()")
    page.press(DOWN)
    assert page.wait(f"{FILMS}.findIndex((v) => !v.muted) === 1")


def test_a_sound_plays_and_stops_by_keyboard(page: Browser) -> None:
    page.run("document.querySelector('audio').focus()")
    page.press(SPACE)
    assert page.wait("document.querySelector('audio').currentTime > 0.05")
    page.press(SPACE)
    assert page.wait("document.querySelector('audio').paused")


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
