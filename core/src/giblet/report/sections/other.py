"""Kinds of signal that the page has no player for: scores and files."""

from __future__ import annotations

from giblet.report.markup import Html, Section, html, tag
from giblet.report.run_folder import RunFolder, label
from giblet.report.scores import score_tables

OWN_SECTION = frozenset({"video", "audio", "text"})


def render(run: RunFolder) -> Section | None:
    """A part for each further kind."""
    parts = [_kind(run, kind) for kind in run.kinds() if kind not in OWN_SECTION]
    return Section("other", "Other signals", html(parts)) if any(parts) else None


def _kind(run: RunFolder, kind: str) -> Html:
    files = run.reconstructions(kind)
    links = [tag("li", label(c), ": ", tag("a", path.name, href=run.embedder.link(path))) for c, path in files.items()]
    body = [tag("ul", *links) if links else None, score_tables(run, kind)]
    return tag("div", tag("h3", kind), *body) if any(body) else Html()
