"""Whether the predicted brain hides more of the film than a real scan could hold."""

from __future__ import annotations

from giblet.report.markup import Section, html, paragraphs, table, tag
from giblet.report.run_folder import RunFolder

MEANING = (
    "Gap: relative loss with noise as in real scans, minus the loss without it. Where it is above 0.1, what comes back "
    "from a predicted brain was hidden in it at amplitudes that no scan has, and lesions measure the hiding place."
)


def render(run: RunFolder) -> Section | None:
    """Verdict and the gap of each kind."""
    check = run.metrics.get("smuggling") or {}
    if not check:
        return None
    text = check.get("text") or ""
    verdict = tag("p", tag("strong", "Warning. "), text, class_="warning") if check.get("flag") else tag("p", text)
    gap = check.get("gap") or {}
    rows = table("Gap between noisy and clean predicted brains", ["kind", "gap"], list(gap.items())) if gap else None
    return Section("smuggling", "Smuggling check", html([verdict, rows, paragraphs(MEANING)]))
