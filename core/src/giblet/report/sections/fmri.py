"""How well held-out scans were predicted: by subject, by region, over the brain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from giblet.alignment.hrf import HRF_SLACK_S
from giblet.report import legend
from giblet.report.brain import RIDGES, WEIGHTS, best_ridge, mosaic, parcels, rows_of
from giblet.report.figures import grouped, save_png, svg
from giblet.report.markup import Html, Section, figure, html, number, paragraphs, table
from giblet.report.run_folder import RunFolder
from giblet.report.sections.summary import SCORES, leading_ridge

SHOWN = ("r", "ridge_r", "banded_r")
"""What the tables have beside the best of the ridges."""
TRUTH = {
    "ceiling": "true ceiling",
    "ratio_to_ceiling": "model r / true ceiling",
    "oracle_r": "r of the true signal",
    "informed_r": "r of a person's own ridge on the true nonlinear components under a canonical response (no bound)",
    "gap_share": "share of the way from the best ridge to the true signal",
    "fir_r": "r of a person's own ridge on 20 lags of the true latents (no bound)",
}


def render(run: RunFolder) -> Section | None:
    """Brain map, tables by region and subject, delays, and the truth where it is known."""
    fmri = run.metrics.get("fmri", {})
    parts = [
        _brain(run),
        _regions(fmri),
        _subjects(fmri),
        _peaks(fmri),
        _lag(run),
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
    people = len(run.metrics.get("fmri", {}).get("subjects") or {})
    whose = "of one person" if people == 1 else "for the group mean"
    alt = f"{kind} of {', '.join(rows_of(run.maps))} {whose}; the tables below give the numbers by region"
    caption = (
        f"{'Scan' if people == 1 else 'Mean scan'} of {legend.people(people)}, held-out test blocks, "
        f"{number(len(run.maps['r_group']))} {'voxels' if voxels else 'parcels'}: {_mapped(run, voxels)}. "
        f"Seed {run.metrics.get('seed')}."
    ) + (" The left of a slice is the left of the head." if voxels else "")
    return figure(svg(drawing, alt), f"{caption}{_units(run)}", "wide")


def _mapped(run: RunFolder, voxels: bool) -> str:
    """What the rows of a mosaic, or the marks of the parcels' bars, are."""
    rows, ridge = rows_of(run.maps), best_ridge(run.maps)
    fmri = run.metrics.get("fmri", {})
    kind = legend.ceiling(fmri.get("group") or fmri)
    shown = ["Pearson r of the model" if voxels else "bars, Pearson r of the model"]
    if ridge is not None:
        less = "r of the model minus that" if voxels else "dots, that"
        shown.append(f"{less} of the {RIDGES[ridge]}, the best here")
    if "ceiling" in rows:
        shown.append(f"ceiling ({kind}), on the scale of the model's r" if voxels else f"line, ceiling ({kind})")
    if voxels and WEIGHTS in rows:
        shown.append("weights (SD of the prediction)")
    return "; ".join(shown) + ("" if "ceiling" in rows else f". Ceiling: {kind}")


def _units(run: RunFolder) -> str:
    """What a voxel's value stands for, where it is not the voxel's own."""
    if "unit" in run.maps:
        return f" Voxels of one unit share its value: there are {int(run.maps['unit'].max()) + 1} units."
    if "voxel_r" in run.metrics.get("fmri", {}):
        return " The space has components: predictions were mapped back, and scored against the measured voxels."
    return ""


def _regions(fmri: Mapping[str, Any]) -> Html:
    regions = fmri.get("regions") or {}
    if not regions:
        return Html()
    titles = {k: v.removesuffix(" r") for k, v in _columns(fmri, regions).items() if k in SCORES and k != "banded_r"}
    series = {title: [v.get(k) for v in regions.values()] for k, title in titles.items()}
    ceilings = [v.get("ceiling") for v in regions.values()]
    drawing = grouped(list(regions), series, ceilings)
    said = ", ".join(f"{k} {number(v.get('r'))}" for k, v in regions.items())
    people = len(fmri.get("subjects") or {})
    caption = f"Pearson r on test blocks, mean over the region's voxels{'' if people == 1 else ' and over people'}"
    caption += "." if _absent(ceilings) else "; lines: ceiling."
    picture = figure(svg(drawing, f"Model r by region: {said}"), caption, "narrow")
    return html([picture, _by("By region", "region", fmri, regions)])


def _subjects(fmri: Mapping[str, Any]) -> Html:
    subjects = fmri.get("subjects") or {}
    own = "" if _absent([v.get("ceiling") for v in subjects.values()]) else ", each against its own ceiling"
    return _by(f"By subject{own}", "subject", fmri, subjects)


def _absent(values: Sequence[object]) -> bool:
    return all(v is None for v in values)


def _columns(fmri: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the rows have of model, ridges, ceiling and size, with its title; the best ridge is called that."""
    best = leading_ridge(fmri)
    named = {k: f"{SCORES[k]} r" for k in (*SHOWN, *([best] if best else []))}
    if best:
        named[best] = f"{SCORES[best]} (the best ridge) r"
    every = {**named, "ceiling": "ceiling", "voxels": "voxels"}
    return {k: title for k, title in every.items() if not _absent([row.get(k) for row in rows.values()])}


def _by(caption: str, what: str, fmri: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Html:
    if not rows:
        return Html()
    columns = _columns(fmri, rows)
    return table(
        caption, [what, *columns.values()], [[name, *(row.get(c) for c in columns)] for name, row in rows.items()]
    )


def _peaks(fmri: Mapping[str, Any]) -> Html:
    peaks = fmri.get("hrf_peak_s") or {}
    title = "Peak of the learned response after an event (s)"
    return table(title, ["region", "peak (s)"], list(peaks.items())) if peaks else Html()


def _lag(run: RunFolder) -> Html:
    """Whether the scans are in step with the film; nothing for folds together, whose lags have no mean."""
    fmri = run.metrics.get("fmri", {})
    lag, flagged = fmri.get("lag_s"), fmri.get("lag_flag")
    if lag is None or flagged is None:
        return Html()
    tr_s = max((s["tr_s"] for s in run.inputs.get("scans", [])), default=0.0)
    if not flagged and abs(lag) > tr_s + HRF_SLACK_S:
        why = f"no shift stands out from chance, though one of {number(lag)} s fits best"
        return paragraphs(f"Whether scans and predictions are shifted cannot be told: {why}.")
    verdict = "flagged: check --offset and the order of the runs" if flagged else "as expected"
    return paragraphs(f"Shift between scans and predictions that fits best: {number(lag)} s ({verdict}).")


def _truth(truth: Mapping[str, Any]) -> Html:
    rows = [[TRUTH.get(k, k.replace("_", " ")), v] for k, v in truth.items() if isinstance(v, int | float)]
    return (
        table("What the demo world makes possible: its truth is known", ["measure", "value"], rows) if rows else Html()
    )
