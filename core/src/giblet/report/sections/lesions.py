"""What is lost when a region is lesioned."""

from __future__ import annotations

from giblet.report.markup import Html, Section, html, paragraphs, table
from giblet.report.run_folder import RunFolder

MEANING = (
    "Effect: relative loss with the lesion minus the loss without, on test blocks; 0 means that the region did not "
    "matter. A kind that cannot be decoded from an intact brain is left out."
)
INPUTS = {"from_measured": "From measured scans", "from_predicted": "From predicted brains"}


def render(run: RunFolder) -> Section | None:
    """A table of region against kind for measured and for predicted input."""
    lesions = run.metrics.get("lesions") or {}
    shown = [_table(lesions, key, title) for key, title in INPUTS.items()]
    return Section("lesions", "Lesions", html([*shown, paragraphs(MEANING)])) if any(shown) else None


def _table(lesions: dict[str, dict[str, dict[str, float]]], key: str, title: str) -> Html:
    kinds = list(dict.fromkeys(k for row in lesions.values() for k, v in row.items() if key in v))
    rows = [[region, *(row.get(k, {}).get(key) for k in kinds)] for region, row in lesions.items()]
    return table(f"{title}: rise of the loss", ["lesioned region", *kinds], rows) if kinds else Html()
