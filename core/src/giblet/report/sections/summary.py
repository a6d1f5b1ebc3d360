"""What came out, in one sentence, with its warnings and the few numbers that carry it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.figures import bars, svg
from giblet.report.markup import Html, Section, figure, html, number, paragraphs, table, tag
from giblet.report.run_folder import RunFolder

SCORES = {
    "r": "model",
    "ridge_r": "FIR ridge",
    "banded_r": "banded ridge",
    "summary_ridge_r": "ridge on summaries",
    "summary_banded_r": "banded ridge on summaries",
    "hrf_banded_r": "banded ridge under the HRF",
    "hrf_group_r": "group-mean ridge under the HRF",
    "training_mean_r": "training mean",
}

CEILING = ("ceiling", "ceiling")
RATIO = "model r / ceiling, where the ceiling is at least 0.1"


def lead(run: RunFolder) -> Html:
    """The summary sentence and the warnings: the first thing on the page."""
    sentence = run.metrics.get("summary") or "This run wrote no summary."
    warnings = [tag("p", tag("strong", "Warning. "), w, class_="warning") for w in run.metrics.get("warnings", [])]
    return html([tag("p", sentence, class_="lead"), *warnings])


def render(run: RunFolder) -> Section | None:
    """Model, ridges, ceiling, null and p, for single subjects and the group mean."""
    fmri = run.metrics.get("fmri")
    if not fmri:
        return None
    group = fmri.get("group") or {}
    head = ["measure", "single subjects, mean", *(["group mean"] if group else [])]
    rows = [[title, *([c.get(key) for c in ([fmri, group] if group else [fmri])])] for key, title in _titles(fmri)]
    shown = table("Key numbers on held-out test blocks", head, rows)
    said = f"Ceiling of single subjects: {legend.ceiling(fmri)}"
    said += f"; of the group mean: {legend.ceiling(group)}." if group else "."
    parts = [_picture(run, fmri), shown, paragraphs(said, *_intervals(fmri)), _legend(fmri)]
    return Section("key", "Key numbers", html(parts))


def leading_ridge(fmri: Mapping[str, Any]) -> str | None:
    """The ridge that the first sentence compares with: that of the highest r; None without any."""
    known = [k for k in SCORES if k not in ("r", "training_mean_r") and fmri.get(k) is not None]
    return max(known, key=lambda k: float(fmri[k]), default=None)


def _titles(fmri: dict[str, Any]) -> list[tuple[str, str]]:
    named = [(k, f"r, {v}") for k, v in SCORES.items() if k in fmri]
    named.append(("ceiling", "ceiling"))
    more = {"ceiling_ratio": RATIO, "null_p95": "null, 95th percentile", "p": "p"}
    return named + [(k, v) for k, v in more.items() if k in fmri]


def _intervals(fmri: dict[str, Any]) -> list[str]:
    """How sure the mean and its distance from the best ridge are."""
    if not fmri.get("interval"):
        return []
    (low, high), (a, b) = fmri["interval"], fmri["gain_interval"]
    return [
        f"90% interval of the model's r over people and pieces of 30 s of the test blocks: {number(low)} to "
        f"{number(high)}. Model minus best ridge: {number(fmri['gain'])} ({number(a)} to {number(b)})."
    ]


def _picture(run: RunFolder, fmri: dict[str, Any]) -> Html:
    values = {title: fmri[key] for key, title in SCORES.items() if fmri.get(key) is not None}
    if fmri.get("ceiling") is not None:
        values["ceiling"] = fmri["ceiling"]
    if not values:
        return Html()
    shown = ", ".join(f"{k} {number(v)}" for k, v in values.items())
    null = fmri.get("null_p95")
    alt = f"Bars of held-out r: {shown}" + ("" if null is None else f"; null 95th percentile {number(null)}")
    people = (fmri.get("subjects") or {}).values()
    dots = {title: [p[key] for p in people if p.get(key) is not None] for key, title in (*SCORES.items(), CEILING)}
    drawing = bars(
        values, null, "95th percentile of the null", "held-out r", spread={"model": fmri.get("interval")}, dots=dots
    )
    return figure(svg(drawing, alt), _caption(run, len(people), fmri), "narrow")


def _caption(run: RunFolder, n: int, fmri: dict[str, Any]) -> str:
    """What is shown, how many people, which spread, which chance, which seed."""
    whisker = "; whiskers: 90% interval over people and pieces of 30 s" if fmri.get("interval") else ""
    chance = f"; dashed: 95% of predictions from another time stay below ({fmri.get('null_kind')})"
    over = "the voxels of one person" if n == 1 else f"voxels and {legend.people(n)}; a dot is a person"
    return (
        f"Pearson r on held-out test blocks, mean over {over}{whisker}"
        f"{chance if fmri.get('null_p95') is not None else ''}. Seed {run.metrics.get('seed')}."
    )


def _legend(fmri: dict[str, Any]) -> Html:
    ceiling = legend.ceiling(fmri, legend.CEILINGS)
    if fmri.get("ceiling") is None:
        ceiling = "not known here: it takes repeats of a stimulus, or at least 6 people"
    meanings = {
        "r": legend.R,
        "FIR ridge": legend.RIDGE,
        "banded ridge": legend.BANDED if "banded_r" in fmri else None,
        "ridge on summaries": legend.SUMMARY_RIDGE if "summary_ridge_r" in fmri else None,
        "ridge under the HRF": legend.HRF_RIDGE if "hrf_banded_r" in fmri else None,
        "training mean": legend.MEAN if "training_mean_r" in fmri else None,
        "ceiling": ceiling + ".",
        "model r / ceiling": legend.RATIO if fmri.get("ceiling_ratio") is not None else None,
        "null": f"r of predictions that belong to another time ({fmri.get('null_kind') or 'kind not stated'}).",
        "p": "share of null scores that reach the model's, (1 + k) / (1 + n).",
    }
    return tag("dl", *([tag("dt", k), tag("dd", v)] for k, v in meanings.items() if v))
