"""A page for blind listening: one HTML file with the sounds in it, which keeps the answers and counts them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from giblet.media import replacing
from giblet.report.embedding import data_uri
from giblet.report.markup import Html, paragraphs, tag

POLICY = (
    "default-src 'none'; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
QUESTIONS = {
    "abx": "A and B are the same moment, made in two ways. X is one of the two. Which?",
    "match": "A and B are two moments of the original. X was made from one of the two. Which?",
}
KEYS = (
    "Keys: A, B and X play; 1 says that X is A, 2 that X is B. Each must be heard once before you answer, and may be "
    "heard as often as you like. There is no way back, and no word on what was right before the end. Answers stay in "
    "this browser; loudness says nothing, the three of a trial are equally loud."
)


def write_listening(page: Path, test: Mapping[str, Any], sounds: Mapping[str, bytes]) -> Path:
    """Write the page of a test: its `trials`, each with the names of sounds (FLAC) for `a`, `b` and `x`.

    The answers are in the page's source, for those who look for them.
    """
    told = dict(test) | {"sounds": {name: data_uri(content, "audio/flac") for name, content in sounds.items()}}
    data = json.dumps(told).replace("<", "\\u003c")
    title = f"giblet: blind listening, {test['study']}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Html(_resource("style.css") + _resource("listen.css"))),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", QUESTIONS[test["task"]], class_="lead")),
        tag("main", *_parts()),
        tag("script", Html(data), type="application/json", id="test"),
        tag("script", Html(_resource("listen.js"))),
    )
    with replacing(Path(page)) as part:
        part.write_text(f"<!doctype html>\n{tag('html', head, body, lang='en')}\n", encoding="utf-8")
    return Path(page)


def _parts() -> list[Html]:
    """What is asked, what is said at the end, and what is to be known; the script fills and shows them."""
    play = [tag("button", f"Play {name}", type="button", data_play=name.lower()) for name in "ABX"]
    say = [tag("button", f"X is {name}", type="button", data_say=name, disabled=True) for name in "AB"]
    trial = tag(
        "section",
        tag("h2", "Trial", id="trial-title", tabindex="-1"),
        tag("div", *play, class_="choices"),
        tag("div", *say, class_="choices"),
        tag("p", id="state", role="status", class_="note"),
        id="trial",
        aria_labelledby="trial-title",
    )
    saves = [tag("button", f"Save as {kind}", type="button", data_save=kind.lower()) for kind in ("JSON", "TSV")]
    again = tag("button", "Begin again", type="button", id="again")
    end = tag(
        "section",
        tag("h2", "Result", id="end-title", tabindex="-1"),
        tag("p", id="result", class_="lead"),
        tag("p", tag("label", "Listener ", tag("input", type="text", id="listener", autocomplete="off"))),
        tag("div", *saves, again, class_="choices"),
        id="end",
        aria_labelledby="end-title",
        hidden=True,
    )
    return [trial, end, paragraphs(KEYS), tag("noscript", paragraphs("This page needs JavaScript."))]


def _resource(name: str) -> str:
    return files("giblet.report").joinpath(name).read_text(encoding="utf-8")
