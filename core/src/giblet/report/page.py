"""The page about a run: one HTML file that needs no network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from giblet.media import replacing
from giblet.report.markup import Html, Section, tag
from giblet.report.run_folder import RunFolder
from giblet.report.sections import (
    audio,
    cite,
    curves,
    decoding,
    fmri,
    folds,
    inputs,
    lesions,
    other,
    settings,
    smuggling,
    summary,
    text,
    variance,
    video,
)

SECTIONS = (
    summary,
    folds,
    inputs,
    curves,
    fmri,
    variance,
    decoding,
    video,
    audio,
    text,
    other,
    smuggling,
    lesions,
    settings,
    cite,
)
POLICY = (
    "default-src 'none'; img-src data:; media-src data: 'self' file:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def write_report(run: Path) -> Path:
    """Write `report.html` from what lies in a run folder; also `brain_map.png` and the strip of still frames.

    Films and sounds up to 6 MB, 15 in all, are in the page itself, larger ones are linked. The page appears whole or
    not at all.

    Raises
    ------
    DataError
        If the folder holds no metrics or a file in it is not what it should be.
    """
    folder = RunFolder.read(Path(run))
    page = folder.path / "report.html"
    with replacing(page) as part:
        part.write_text(_page(folder), encoding="utf-8")
    return page


def _page(run: RunFolder) -> str:
    sections = [s for s in (module.render(run) for module in SECTIONS) if s is not None]
    title = f"giblet: {run.metrics.get('study') or run.path.resolve().name}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Html(_resource("style.css"))),
    )
    top = tag("header", tag("h1", title), summary.lead(run), _contents(sections))
    body = [tag("a", "Skip to the content", href="#content", class_="skip"), top]
    body += [tag("main", *map(_section, sections), id="content"), tag("script", Html(_resource("page.js")))]
    return f"<!doctype html>\n{tag('html', head, tag('body', *body), lang='en')}\n"


def _contents(sections: list[Section]) -> Html:
    links = [tag("li", tag("a", s.title, href=f"#{s.anchor}")) for s in sections]
    return tag("nav", tag("ul", *links), aria_label="Contents")


def _section(section: Section) -> Html:
    heading = f"{section.anchor}-title"
    return tag(
        "section", tag("h2", section.title, id=heading), section.body, id=section.anchor, aria_labelledby=heading
    )


def _resource(name: str) -> str:
    return files("giblet.report").joinpath(name).read_text(encoding="utf-8")
