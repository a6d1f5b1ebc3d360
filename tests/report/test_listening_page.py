"""The page for blind listening in a real browser: a whole test by keyboard, kept, counted and saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from giblet.analysis.audio import binomial_p
from giblet.api.run import Run
from page_browser import ENTER, NEEDS_CHROMIUM, Browser
from page_run import fabricate

pytestmark = NEEDS_CHROMIUM

TRIALS = 6
TROUBLE = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}


@pytest.fixture(scope="module")
def test_page(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Path:
    run = Run(fabricate(tmp_path_factory.mktemp("run"), media))
    return run.write_listening(clip_s="0.5", trials=TRIALS)


@pytest.fixture
def page(test_page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser of its own for each test, which has kept nothing yet."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.show()
    browser.open(test_page)
    yield browser
    browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files: of a page from a file, Chromium does not always find what it kept."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def press(page: Browser, keys: str) -> None:
    for key in keys:
        page.press((key, ord(key.upper()), key))


def say(page: Browser, letter: str) -> None:
    press(page, "abx" + ("1" if letter == "A" else "2"))


def answers(page: Browser) -> str:
    return page.run("test.trials.map((t) => t.answer).join('')")


def title(page: Browser) -> str:
    return page.run("document.querySelector('#trial-title').textContent")


SAVED = """(() => { const texts = []; const old = URL.createObjectURL; URL.createObjectURL = (b) => {
  texts.push(b.text()); return old(b); }; HTMLAnchorElement.prototype.click = function () { this.dataset.saved = "";
  window.saved = this.download; }; document.querySelector("[data-save=%s]").click();
  URL.createObjectURL = old; return texts[0]; })()"""


def test_a_test_is_taken_by_keyboard_kept_counted_and_saved(page: Browser) -> None:
    right = answers(page)
    wrong = {"A": "B", "B": "A"}
    for k, letter in enumerate(right[:3]):
        assert title(page) == f"Trial {k + 1} of {TRIALS}"
        say(page, letter)
    page.run("localStorage.clear()")  # as where a browser keeps nothing
    page.reload()
    assert title(page) == f"Trial 4 of {TRIALS}"
    for letter in right[3:5]:
        say(page, letter)
    say(page, wrong[right[5]])
    assert page.run("document.activeElement.id") == "end-title"
    said = page.run("document.querySelector('#result').textContent")
    assert said.startswith(f"5 of 6 right; p = {binomial_p(5, 6):.3f}")
    page.run("document.querySelector('#listener').focus()")
    press(page, "abx12")
    page.run("document.querySelector('#listener').value = 'Ann'; "
             "document.querySelector('#listener').dispatchEvent(new Event('input'))")  # fmt: skip
    found = json.loads(page.run(SAVED % "json"))
    assert (found["listener"], found["n"], found["right"], found["seed"]) == ("Ann", 6, 5, 0)
    assert found["p"] == pytest.approx(binomial_p(5, 6))
    assert [a["right"] for a in found["answers"]] == [True] * 5 + [False]
    assert {a["x_version"] for a in found["answers"]} <= {"original", "roundtrip"}
    rows = [line.split("\t") for line in page.run(SAVED % "tsv").splitlines()]
    assert len(rows) == 1 + TRIALS
    assert {len(row) for row in rows} == {len(rows[0])}
    assert page.run("window.saved") == "listening-abx-Ann.tsv"
    assert [e for e in page.events if e["method"] in TROUBLE] == []


def test_answers_outlive_the_tab_and_are_of_one_test(page: Browser, test_page: Path, tmp_path: Path) -> None:
    content = test_page.read_text(encoding="utf-8")
    copy = tmp_path / "test.html"
    copy.write_text(content, encoding="utf-8")
    page.send("Network.setCacheDisabled", cacheDisabled=True)
    with served(tmp_path) as address:
        page.open(f"{address}/{copy.name}")
        say(page, answers(page)[0])
        page.open("about:blank")
        page.open(f"{address}/{copy.name}")
        assert title(page) == f"Trial 2 of {TRIALS}"
        copy.write_text(content.replace(page.run("test.id"), "of another test"), encoding="utf-8")
        page.reload()
        assert title(page) == f"Trial 1 of {TRIALS}"


def test_nothing_is_asked_or_told_outside_and_all_sounds_decode(page: Browser, test_page: Path) -> None:
    asked = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [test_page.as_uri()]
    lengths = page.run("""Promise.all(Object.values(test.sounds).map((s) => new Promise((r) => {
      const a = new Audio(s); a.onloadedmetadata = () => r(a.duration); a.onerror = () => r(0); })))""")
    assert lengths == pytest.approx([0.5] * len(lengths), abs=0.01)
    shown = page.run("document.body.innerText")
    assert "roundtrip" not in shown
    assert "original" not in shown


def test_an_answer_must_wait_until_all_three_were_heard(page: Browser) -> None:
    press(page, "1")
    press(page, "ax1")
    assert title(page) == f"Trial 1 of {TRIALS}"
    assert page.run("document.querySelector('[data-say]').disabled")
    assert page.run("document.querySelector('#state').textContent") == "Still to be heard: B."
    press(page, "b")
    assert page.wait("player.currentTime > 0.05")
    page.run("document.querySelector('[data-say=B]').focus()")
    page.press(ENTER)
    assert title(page) == f"Trial 2 of {TRIALS}"
    assert page.run("player.paused")


def test_who_begins_again_begins_at_the_first_trial(page: Browser) -> None:
    for letter in answers(page):
        say(page, letter)
    page.run("window.confirm = () => true")
    page.run("document.querySelector('#again').click()")
    assert title(page) == f"Trial 1 of {TRIALS}"
    page.reload()
    assert title(page) == f"Trial 1 of {TRIALS}"


def test_it_fits_a_phone_and_every_control_has_a_name(page: Browser) -> None:
    page.show(400)
    assert page.run("document.documentElement.scrollWidth") <= 400
    nodes = [n for n in page.send("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]
    buttons = [n["name"]["value"] for n in nodes if n["role"]["value"] == "button"]
    assert buttons == ["Play A", "Play B", "Play X", "X is A", "X is B"]
