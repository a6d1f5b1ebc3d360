"""Whether the predicted brain hides more of the film than a real scan could hold."""

from __future__ import annotations

from giblet.report.markup import Section, html, paragraphs, table, tag
from giblet.report.run_folder import RunFolder

MEANING = (
    "Hidden: how much relative loss rises when a predicted scan gets a twentieth of the power of a real scan's noise. "
    "Excess: relative loss from real scans minus that from predicted ones with a real "
    "one's noise. Where either is above 0.1, what is read from a predicted brain is not what a real one holds, and "
    "lesions of it measure a hiding place."
)


def render(run: RunFolder) -> Section | None:
    """Verdict, and both figures of each kind."""
    check = run.metrics.get("smuggling") or {}
    if not check:
        return None
    text = f"{check['text'][:1].upper()}{check['text'][1:]}." if check.get("text") else ""
    verdict = tag("p", tag("strong", "Warning. "), text, class_="warning") if check.get("flag") else tag("p", text)
    hidden, excess = (check.get(k) or {} for k in ("hidden", "excess"))
    said = [[kind, hidden[kind], excess.get(kind)] for kind in hidden]
    rows = table("What predicted scans hold beyond real ones", ["kind", "hidden", "excess"], said) if said else None
    return Section("smuggling", "Smuggling check", html([verdict, rows, paragraphs(MEANING)]))
