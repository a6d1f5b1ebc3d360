"""How well held-out scans were predicted: by subject, by region, over the brain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.brain import RIDGES, best_ridge, mosaic, parcels, rows_of
from giblet.report.figures import grouped, save_png, svg
from giblet.report.markup import Html, Section, figure, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder

COLUMNS = {
    "r": "model r",
    "ridge_r": "FIR ridge r",
    "banded_r": "banded ridge r",
    "ceiling": "ceiling",
    "voxels": "voxels",
}
TRUTH = {
    "ceiling": "true ceiling",
    "ratio_to_ceiling": "model r / true ceiling",
    "oracle_r": "r of the true signal",
    "informed_r": "r of one who knows the features",
    "gap_share": "share of the way from the best ridge to the true signal",
    "fir_r": "r of the best linear FIR",
}


def render(run: RunFolder) -> Section | None:
    """Brain map, tables by region and subject, delays, and the truth where it is known."""
    fmri = run.metrics.get("fmri", {})
    parts = [
        _brain(run),
        _regions(fmri.get("regions") or {}),
        _by("By subject, each against its own ceiling", "subject", fmri.get("subjects") or {}),
        _timing(fmri),
        _truth(run.metrics.get("truth") or {}),
    ]
    return Section("fmri", "Predicted scans", html(parts)) if any(parts) else None


def _brain(run: RunFolder) -> Html:
    if not rows_of(run.maps) or "r_group" not in run.maps:
        return Html()
    voxels = "mask" in run.maps
    drawing = mosaic(run.maps) if voxels else parcels(run.maps)
    save_png(drawing, run.path / "brain_map.png")
    kind = "Axial slices" if voxels else "Bars for each parcel"
    alt = f"{kind} of {', '.join(rows_of(run.maps))} for the group mean; the tables below give the numbers by region"
    people = len(run.metrics.get("fmri", {}).get("subjects") or {})
    ridge = best_ridge(run.maps)
    gain = "" if ridge is None else f"r of the model minus that of the {RIDGES[ridge]}, the best here, "
    caption = (
        f"Mean scan of n = {people} people, held-out test blocks, {number(len(run.maps['r_group']))} "
        f"{'voxels' if voxels else 'parcels'}: Pearson r of the model, ceiling ({_kind(run)}), {gain}"
        f"and weights (SD of the prediction). Seed {run.metrics.get('seed')}."
    ) + (" The left of a slice is the left of the head. Model and ceiling share one scale." if voxels else "")
    return figure(svg(drawing, alt), f"{caption}{_units(run)}", "wide")


def _units(run: RunFolder) -> str:
    """What a voxel's value stands for, where it is not the voxel's own."""
    if "unit" in run.maps:
        return f" Voxels of one unit share its value: there are {int(run.maps['unit'].max()) + 1} units."
    if "voxel_r" in run.metrics.get("fmri", {}):
        return " The space has components: predictions were mapped back, and scored against the measured voxels."
    return ""


def _kind(run: RunFolder) -> str:
    group = run.metrics.get("fmri", {}).get("group") or run.metrics.get("fmri", {})
    return legend.ceiling(group.get("ceiling_kind")) or "none"


def _regions(regions: Mapping[str, Mapping[str, Any]]) -> Html:
    if not regions:
        return Html()
    series = {
        "model": [v.get("r") for v in regions.values()],
        "FIR ridge": [v.get("ridge_r") for v in regions.values()],
    }
    drawing = grouped(list(regions), series, [v.get("ceiling") for v in regions.values()])
    said = ", ".join(f"{k} {number(v.get('r'))}" for k, v in regions.items())
    caption = "Pearson r on test blocks, mean over the region's voxels and over people; lines: ceiling."
    picture = figure(svg(drawing, f"Model r by region: {said}"), caption, "narrow")
    return html([picture, _by("By region", "region", regions)])


def _by(caption: str, what: str, rows: Mapping[str, Mapping[str, Any]]) -> Html:
    if not rows:
        return Html()
    columns = {k: v for k, v in COLUMNS.items() if any(k in row for row in rows.values())}
    return table(
        caption, [what, *columns.values()], [[name, *(row.get(c) for c in columns)] for name, row in rows.items()]
    )


def _timing(fmri: Mapping[str, Any]) -> Html:
    peaks = fmri.get("hrf_peak_s") or {}
    rows = (
        table("Peak of the learned response after an event (s)", ["region", "peak (s)"], list(peaks.items()))
        if peaks
        else None
    )
    lag = fmri.get("lag_s")
    if lag is None:
        return html([rows])
    verdict = "flagged: check --offset and the order of the runs" if fmri.get("lag_flag") else "as expected"
    return html([rows, paragraphs(f"Shift between scans and predictions that fits best: {number(lag)} s ({verdict}).")])


def _truth(truth: Mapping[str, Any]) -> Html:
    rows = [[TRUTH.get(k, k.replace("_", " ")), v] for k, v in truth.items() if isinstance(v, int | float)]
    return (
        table("What the demo world makes possible: its truth is known", ["measure", "value"], rows) if rows else Html()
    )
