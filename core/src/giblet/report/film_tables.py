"""What a reconstructed film is worth, as tables: scores beside their controls, TRs at cuts apart, retrieval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.markup import Html, html, number, paragraphs, table
from giblet.report.scores import COLUMNS

QUALITY = {
    "frame_r": "frame r",
    "psnr_db": "PSNR (dB)",
    "ssim": "SSIM",
    "motion_r": "motion coherence",
}
PLACES = {"": "TRs without a cut", "_at_cuts": "TRs with a cut"}
MEANING = (
    "Frame r: correlation over pixels and colours, frame by frame. PSNR and SSIM reward blur: read them beside the "
    "training mean. Motion coherence: correlation of optical flow about stillness, 1 the same motion, 0 none or "
    "unrelated, -1 the reverse."
)
RETRIEVAL = (
    "A clip is sought among the clips of the training and test blocks, those within 30 s in its run left out; the "
    "nearest is the one whose tiny pictures (16x9, four a TR, the training mean taken out) correlate most. Ties are a "
    "fair draw. 90% intervals over clips."
)


def quality(scores: Mapping[str, Any]) -> Html:
    """A row a metric, a column a version; TRs at cuts in a table of their own."""
    made = {v: scores[v] for v in COLUMNS if isinstance(scores.get(v), Mapping) and scores[v]}
    if not made:
        return Html()
    over = legend.stretch(", from ", scores)
    parts = [_quality(f"{where}{over}", made, suffix) for suffix, where in PLACES.items()]
    shift = scores.get("permuted_by_s")
    note = f"Permuted: {legend.PERMUTED}; here by {shift:g} s." if shift is not None else ""
    return html([*parts, paragraphs(MEANING, note)])


def _quality(where: str, made: Mapping[str, Mapping[str, Any]], suffix: str) -> Html:
    n, moving = (next(iter(made.values())).get(f"{name}{suffix}") for name in ("n_trs", "n_moving_trs"))
    if not n:
        return paragraphs(f"{where}: none.")
    rows = [[title, *(v.get(f"{name}{suffix}") for v in made.values())] for name, title in QUALITY.items()]
    counts = f"{number(n)} of them, {number(moving)} with motion"
    return table(f"Quality of the film in {where}: {counts}", ["metric", *(COLUMNS[v] for v in made)], rows)


def retrieval(found: Mapping[str, Any]) -> Html:
    """A row a version, the chance level last."""
    if not found.get("n_clips"):
        return paragraphs(f"No clip was sought by its pictures: {found['note']}.") if found.get("note") else Html()
    rows = [
        [COLUMNS[v], f["top1"], legend.span(f.get("top1_interval")), f["top5"], legend.span(f.get("top5_interval"))]
        for v in COLUMNS
        if (f := found.get(v))
    ]
    rows.append(["chance", found["chance_top1"], None, found["chance_top5"], None])
    shown = table(
        f"Which clip is it, by the pictures made? {number(found['n_clips'])} clips of {found['clip_s']:g} s, "
        f"{number(found['set_size'])} to choose from",
        ["from", "right one of all", "90% interval", "among the best five", "90% interval"],
        rows,
    )
    return html([shown, paragraphs(RETRIEVAL)])
