"""Who is to be cited for what a run used: BibTeX of ours and of the plugins, as it is and as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from giblet.errors import DataError

AUTHORS = "The giblet maintainers"
TITLE = "giblet: films, brains and back through brain space"
SHOWN_AUTHORS = 3
ENTRY = re.compile(r"^@(\w+)\{([^,]+),\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", re.M)


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of a BibTeX file, its fields by name.

    Two of them are ours: `note` says what the work is cited for, `when` under which circumstances (`is_used`).
    """

    type: str
    key: str
    fields: Mapping[str, str]

    def bibtex(self) -> str:
        """The entry as a bibliography program reads it."""
        rows = [f"  {k} = {{{v}}}" for k, v in self.fields.items() if k not in ("note", "when")]
        return f"@{self.type}{{{self.key},\n" + ",\n".join(rows) + "\n}"

    def text(self) -> str:
        """Authors, year, title and place, without the address."""
        f = self.fields
        numbers = ", ".join(f[k].replace("--", "\N{EN DASH}") for k in ("volume", "pages") if k in f)
        place = " ".join(p for p in (f.get("journal") or f.get("booktitle") or f.get("howpublished"), numbers) if p)
        parts = (self._who(), f["title"], place)
        return " ".join(p if p.endswith(("?", ".")) else f"{p}." for p in parts if p)

    def _who(self) -> str:
        names = [name.strip("{}") for name in self.fields["author"].split(" and ")]
        short = [*names[:SHOWN_AUTHORS], "et al."] if len(names) > SHOWN_AUTHORS else names
        return f"{'; '.join(short)} ({self.fields['year']})"

    def is_used(self, facts: Mapping[str, Any]) -> bool:
        """Whether `when` holds: `a.b` must be there and not empty, `a.b=word` must begin with that word."""
        path, _, word = self.fields.get("when", "").partition("=")
        value: Any = facts
        for step in filter(None, path.split(".")):
            value = value.get(step) if isinstance(value, Mapping) else None
        there = value is not None and value is not False and value not in ({}, [])
        return there and str(value).startswith(word)


def parse(text: str) -> Iterator[Source]:
    """The entries of a BibTeX file that has a field a line.

    Raises
    ------
    DataError
        If an entry lacks author, title or year.
    """
    for kind, key, body in ENTRY.findall(text):
        fields = dict(FIELD.findall(body))
        if missing := {"author", "title", "year"} - fields.keys():
            raise DataError(
                f"the citation {key!r} has no {', '.join(sorted(missing))}; write `name = {{...}}`, one a line"
            )
        yield Source(kind, key, fields)


def sources(metrics: Mapping[str, Any], model: Mapping[str, Any], kinds: list[str]) -> dict[str, list[Source]]:
    """What this run used, by who brought it: giblet's methods, then each plugin's own."""
    identified = any((metrics.get(k) or {}).get("identification", {}).get("two_way") is not None for k in kinds)
    facts = {"metrics": metrics, "model": model, "identified": identified}
    ours = files("giblet.report").joinpath("sources.bib").read_text(encoding="utf-8")
    found = {"giblet": [s for s in parse(ours) if s.is_used(facts)]}
    for plugin in (model.get("modalities") or {}).values():
        used = [s for s in parse(plugin.get("citations", "")) if s.is_used(facts | {"settings": plugin["settings"]})]
        found[plugin["plugin"]] = used
    return {name: entries for name, entries in found.items() if entries}


def giblet(version: str) -> Source:
    """The program itself, in the version that computed a run."""
    fields = {"author": f"{{{AUTHORS}}}", "title": TITLE, "year": "2026", "version": version, "license": "MIT"}
    return Source("software", "giblet", fields | {"howpublished": f"Version {version}, MIT licence"})
