"""What each modality explains of the scans, alone and with the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report.brain import mosaic
from giblet.report.figures import grouped, svg
from giblet.report.markup import Html, Section, figure, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

MEANING = (
    "Explained variance (R2) of test blocks by banded ridge on what the trunk reads, mean over voxels and people. "
    "Unique: what is lost when the ridge is fitted without this modality. Shared: all modalities together minus the "
    "unique parts; it can be explained by more than one of them. Noise makes small values negative."
)
SPLIT = (
    "Product measure: each modality's part of the joint prediction times what it has in common with the scan; the "
    "parts of a row add up to all together (Dupré la Tour et al. 2022)."
)
UNIQUE_MAP = "variance_unique_"


def render(run: RunFolder) -> Section | None:
    """Bars and tables by region, and the maps of the unique parts."""
    found = run.metrics.get("variance") or {}
    regions = found.get("regions") or {}
    note = paragraphs(f"Note: {found['note']}.") if found.get("note") else None
    if not regions:
        return Section("variance", "What each modality explains", note) if note else None
    parts = [_picture(regions), _unique(regions), paragraphs(MEANING, _inference(found)), _split(regions), _maps(run)]
    return Section("variance", "What each modality explains", html([*parts, paragraphs(SPLIT), note]))


def _names(regions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(next(iter(regions.values()))["modalities"])


def _picture(regions: Mapping[str, Mapping[str, Any]]) -> Html:
    series = {n: [row["modalities"][n]["unique"] for row in regions.values()] for n in _names(regions)}
    series["shared"] = [row["shared"] for row in regions.values()]
    people = {
        n: [_range(row["modalities"][n].get("people") or {}) for row in regions.values()] for n in _names(regions)
    }
    drawing = grouped(list(regions), series, [None] * len(regions), "explained variance", people)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{n} {number(v[k])}" for n, v in series.items()) for k, name in enumerate(regions)
    )
    caption = (
        "Share of the variance of test scans (R2), mean over the region's voxels and over people; whiskers: from the "
        "lowest to the highest person; 0 is chance."
    )
    return figure(svg(drawing, f"Unique and shared explained variance by region. {said}"), caption, "narrow")


def _range(people: Mapping[str, float]) -> list[float]:
    return [min(people.values()), max(people.values())] if people else []


def _unique(regions: Mapping[str, Mapping[str, Any]]) -> Html:
    names = _names(regions)
    tested = all("p" in row["modalities"][n] for row in regions.values() for n in names)
    head = [
        "region",
        "all together",
        *(h for n in names for h in ([f"{n}, unique", "p"] if tested else [f"{n}, unique"])),
    ]
    rows = [
        [
            region,
            row["full"],
            *(
                row["modalities"][n].get(k)
                for n in names
                for k in (["unique", "p_corrected"] if tested else ["unique"])
            ),
            row["shared"],
        ]
        for region, row in regions.items()
    ]
    return table("Explained variance by region and modality", [*head, "shared"], rows)


def _inference(found: Mapping[str, Any]) -> str:
    if found.get("least_p") is None:
        return ""
    return (
        f"p: sign flips over {found['n_people']} people, one-sided, corrected over the whole table by the maximum; "
        f"with so many people it cannot be below {number(found['least_p'])}."
    )


def _split(regions: Mapping[str, Mapping[str, Any]]) -> Html:
    names = _names(regions)
    rows = [[r, row["full"], *(row["modalities"][n]["split"] for n in names)] for r, row in regions.items()]
    return table("Split scores", ["region", "all together", *names], rows)


def _maps(run: RunFolder) -> Html:
    rows = {k.removeprefix(UNIQUE_MAP): v for k, v in run.maps.items() if k.startswith(UNIQUE_MAP)}
    if not rows or "mask" not in run.maps:
        return Html()
    alt = f"Axial slices of the variance that each modality alone explains: {', '.join(rows)}; the table gives numbers"
    return figure(
        svg(mosaic(run.maps, rows), alt),
        "Unique explained variance (R2) of test blocks, mean over people; 0 is chance.",
        "wide",
    )
