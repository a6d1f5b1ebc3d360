"""What is lost when a region is lesioned."""

from __future__ import annotations

from typing import Any

from giblet.report.markup import Html, Section, folded, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

MEANING = (
    "Decoded: relative loss of the film, sound or text with the lesion, minus without, on test blocks; 0 means that "
    "the region did not matter. On codes: the same of the code that decoders read first, with its 95 % interval over "
    "people and blocks of TRs, and p against random lesions that are as large, as connected and as reliable, beside "
    "the region."
)
INTERACTING = (
    "Interaction: what the first region's lesion costs the first kind more than the second, beyond what the second "
    "region's does, on codes; p is Holm's over the table."
)
INPUTS = {"from_measured": "From measured scans", "from_predicted": "From predicted brains"}


def render(run: RunFolder) -> Section | None:
    """For measured and for predicted input: a table of region against kind, and the interactions."""
    lesions = run.metrics.get("lesions") or {}
    if not lesions:
        return None
    parts = [_source(lesions, key, title) for key, title in INPUTS.items()]
    notes = paragraphs(MEANING, INTERACTING, *lesions["notes"])
    return Section("lesions", "Lesions", html([*parts, notes, _matching(lesions)]))


def _source(lesions: dict[str, Any], source: str, title: str) -> Html:
    lost = lesions["not_decodable"][source]
    left = [
        f"{title}: {k} is not decodable (intact loss {number(x['intact'])}, of its code {number(x['code_intact'])}) "
        "and has left the table."
        for k, x in lost.items()
    ]
    return html([_effects(lesions, source, title), paragraphs(*left), _interactions(lesions, source, title)])


def _effects(lesions: dict[str, Any], source: str, title: str) -> Html:
    regions = lesions["regions"]
    kinds = [k for k, by in next(iter(regions.values())).items() if by[source]["decodable"]]
    head = ["lesioned region", *(f"{k}, {what}" for k in kinds for what in ("decoded", "on codes", "p"))]
    rows = [[region, *(cell for k in kinds for cell in _cells(row[k][source]))] for region, row in regions.items()]
    return table(f"{title}: rise of the loss", head, rows) if kinds else Html()


def _cells(row: dict[str, Any]) -> list[object]:
    return [row["effect"], f"{number(row['code_effect'])} {_interval(row['code_interval'])}", row["p"]]


def _interval(pair: list[float]) -> str:
    return f"[{number(pair[0])}, {number(pair[1])}]"


def _interactions(lesions: dict[str, Any], source: str, title: str) -> Html:
    rows = [
        [
            " against ".join(x["regions"]),
            " against ".join(x["modalities"]),
            x["estimate"],
            _interval(x["interval"]),
            x["p_holm"],
        ]
        for x in lesions["interactions"][source]
    ]
    head = ["regions", "kinds", "interaction", "interval", "p"]
    return folded(f"{title}: interactions", table("Region by kind", head, rows)) if rows else Html()


def _matching(lesions: dict[str, Any]) -> Html:
    names = ("n", "region_ceiling", "random_ceiling", "within_tolerance")
    rows = [
        [region, *(match[k] for k in names), "; ".join(match["notes"])] for region, match in lesions["matching"].items()
    ]
    head = ["region", "random lesions", "its ceiling", "theirs", "share within tolerance", "notes"]
    return folded("How well the random lesions match", table("Matching", head, rows)) if rows else Html()
