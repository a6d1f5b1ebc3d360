"""What is lost when a region is lesioned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from giblet.report.figures import grouped, svg
from giblet.report.markup import Html, Section, figure, folded, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

MEANING = (
    "Decoded: relative loss of the film, sound or text with the lesion, minus without, on test blocks; 0 means that "
    "the region did not matter. On codes: the same of the code that decoders read first and, alike, of the plain "
    "features behind it, with its 95% interval over people and blocks of TRs, and p against random lesions that are as "
    "large, as connected and as reliable, beside the region."
)
UNCORRECTED = "p is each row's own, not corrected for the number of rows."
INTERACTING = (
    "Interaction: what the first region's lesion costs the first kind more than the second, beyond what the second "
    "region's does, on codes; p is Holm's over the table."
)
INPUTS = {"from_measured": "From the measured scan", "from_predicted": "From the predicted scan"}
HEAD = ("lesioned region", "signal", "decoded", "on codes", "95% interval", "p")


def render(run: RunFolder) -> Section | None:
    """For measured and for predicted input: a picture, a table of region and kind, and the interactions."""
    lesions = run.metrics.get("lesions") or {}
    if not lesions:
        return None
    parts = [_source(run, key, title) for key, title in INPUTS.items()]
    notes = paragraphs(MEANING, INTERACTING, *lesions["notes"])
    return Section("lesions", "Lesions", html([*parts, notes, _matching(lesions)]))


def _source(run: RunFolder, source: str, title: str) -> Html:
    lesions = run.metrics["lesions"]
    lost = lesions["not_decodable"][source]
    left = [
        f"{title}: {k} is not decodable (intact loss {number(x['intact'])}, of its code {number(x['code_intact'])}) "
        "and has left the table."
        for k, x in lost.items()
    ]
    rows = list(_rows(lesions["regions"], source))
    shown = [_picture(run, rows, title), _table(title, rows)] if rows else []
    said = [UNCORRECTED] if any(row[5] is not None for row in rows) else []
    return html([*shown, paragraphs(*said, *left), _interactions(lesions, source, title)])


def _rows(regions: dict[str, Any], source: str) -> Iterator[list[Any]]:
    for region, kinds in regions.items():
        for kind, by in kinds.items():
            if (row := by[source])["decodable"]:
                yield [region, kind, row["effect"], row["code_effect"], row["code_interval"], row["p"]]


def _table(title: str, rows: list[list[Any]]) -> Html:
    shown = [[*row[:4], _interval(row[4]), row[5]] for row in rows]
    return table(f"{title}: rise of the loss", HEAD, shown)


def _picture(run: RunFolder, rows: list[list[Any]], title: str) -> Html:
    regions, kinds = (list(dict.fromkeys(row[k] for row in rows)) for k in (0, 1))
    effects = {(row[0], row[1]): row for row in rows}
    series = {k: [effects[r, k][3] for r in regions] for k in kinds}
    spread = {k: [effects[r, k][4] for r in regions] for k in kinds}
    said = "; ".join(f"{row[0]}, {row[1]}: {number(row[3])}" for row in rows)
    drawing = grouped(regions, series, [None] * len(regions), "rise of relative loss", spread)
    n = run.metrics["lesions"]["settings"].get("random")
    caption = (
        f"{title}: how much worse each signal is read, on codes, when a region is lesioned; 0: the region did not "
        f"matter; whiskers: 95% interval; p in the table: against {number(n)} random lesions. "
        f"Seed {run.metrics.get('seed')}."
    )
    return figure(svg(drawing, f"{title}, rise of the loss by lesioned region and signal. {said}"), caption, "narrow")


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
    head = ["regions", "kinds", "interaction", "95% interval", "p"]
    return folded(f"{title}: interactions", table(f"{title}: region by kind", head, rows)) if rows else Html()


def _matching(lesions: dict[str, Any]) -> Html:
    names = ("n", "region_ceiling", "random_ceiling", "within_tolerance")
    rows = [
        [region, *(match[k] for k in names), "; ".join(match["notes"])] for region, match in lesions["matching"].items()
    ]
    head = ["region", "random lesions", "its ceiling", "theirs", "share within tolerance", "notes"]
    return folded("How well the random lesions match", table("Matching", head, rows)) if rows else Html()
