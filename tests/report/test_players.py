"""Films and sounds of the page in a real browser: they decode, and play by keyboard."""

from __future__ import annotations

import pytest
from page_browser import DOWN, ENTER, HOME, NEEDS_CHROMIUM, RIGHT, SPACE, Browser

pytestmark = NEEDS_CHROMIUM

PICTURES = """Promise.all([...document.querySelectorAll("img, image")].map((i) => {
  const p = new Image(); p.src = i.src || i.href.baseVal; return p.decode().then(() => p.naturalWidth); }))"""
FILMS = "[...document.querySelectorAll('[data-together] video')]"
MEDIA = "[...document.querySelectorAll('video, audio')]"


def test_pictures_and_media_decode(page: Browser) -> None:
    widths = page.run(PICTURES)
    assert len(widths) > 20
    assert min(widths) > 1
    page.run(f"{MEDIA}.forEach((m) => {{ m.preload = 'auto'; m.load(); }})")
    assert page.wait(f"{MEDIA}.every((m) => m.readyState >= 2 && !m.error)")
    lengths = page.run(f"{MEDIA}.map((m) => m.duration)")
    assert lengths == pytest.approx([2.4] * 6 + [3.0] * 6, abs=0.15)
    assert page.run(f"{FILMS}.every((v) => v.videoWidth === 160 && v.videoHeight === 90)")


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
    for _ in range(5):
        page.press(RIGHT)
    assert page.wait(f"{FILMS}.every((v) => v.currentTime > 0) && document.querySelector('.transport input').value > 0")
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
