"""How to cite the program and the methods that this run used."""

from __future__ import annotations

from giblet.report.citations import Source, giblet, sources
from giblet.report.markup import Html, Section, folded, html, paragraphs, tag
from giblet.report.run_folder import RunFolder

NOTE = (
    "Only what this run used is named. Cite the data's authors, too: giblet does not know them. Plugins name their own "
    "sources."
)


def render(run: RunFolder) -> Section | None:
    """The program, then the sources of its methods and of the plugins, as text and as BibTeX."""
    version = (run.metrics.get("versions") or {}).get("giblet")
    if not version:
        return None
    program = giblet(version)
    used = sources(run.metrics, run.model, run.kinds())
    entries = [program, *(s for group in used.values() for s in group)]
    parts = [
        tag("ul", _item(program)),
        *([tag("h3", f"Methods of {name}"), tag("ul", *map(_item, group))] for name, group in used.items()),
        paragraphs(NOTE),
        folded("BibTeX", tag("pre", "\n\n".join(s.bibtex() for s in entries), tabindex="0")),
    ]
    return Section("cite", "How to cite", html(parts))


def _item(source: Source) -> Html:
    doi, why = source.fields.get("doi"), source.fields.get("note")
    link = tag("a", f"doi:{doi}", href=f"https://doi.org/{doi}") if doi else None
    return tag("li", [tag("b", f"{why[0].upper()}{why[1:]}"), ". "] if why else None, source.text(), " ", link)
