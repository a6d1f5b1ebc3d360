"""Whether the predicted scan hides more of the film than a real scan could hold."""

from __future__ import annotations

from giblet.report.markup import Section, html, paragraphs, table, tag
from giblet.report.run_folder import RunFolder

MEANING = (
    "Hidden: how much relative loss rises when the predicted scan gets a twentieth of the power of a measured scan's "
    "noise. "
    "Excess: relative loss from the measured scan minus that from the predicted one with a measured "
    "one's noise. Where either is above 0.1, what is read from the predicted scan is not what a measured one holds, "
    "and lesions of it measure a hiding place."
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
    rows = (
        table("What the predicted scan holds beyond a measured one", ["kind", "hidden", "excess"], said)
        if said
        else None
    )
    return Section("smuggling", "Smuggling check", html([verdict, rows, paragraphs(MEANING)]))
