"""What could be read back from scans, kind by kind, and what the words in the tables mean."""

from __future__ import annotations

from typing import Any

from giblet.report import legend
from giblet.report.figures import bars, svg
from giblet.report.markup import Html, Section, figure, folded, html, number, paragraphs, table, tag
from giblet.report.run_folder import RunFolder
from giblet.report.scores import COLUMNS, LOSSES

HEAD = (
    "signal",
    "loss, measured",
    "loss, permuted",
    "one of two",
    "90% interval",
    "chance",
    "p",
    "clips",
)


def render(run: RunFolder) -> Section | None:
    """Identification of every kind beside chance, the losses, and the words."""
    scored = {k: run.metrics[k] for k in run.kinds() if (run.metrics.get(k) or {}).get("loss")}
    if not scored:
        return None
    parts = [_picture(run, scored), _table(scored), paragraphs(legend.RELATIVE_LOSS, legend.CLIPS), _words()]
    return Section("decoding", "Read back from scans", html(parts))


def _found(scores: dict[str, Any]) -> dict[str, Any]:
    return scores.get("identification") or {}


def _picture(run: RunFolder, scored: dict[str, Any]) -> Html:
    rows = {k: (_found(v)["two_way"], _found(v).get("interval")) for k, v in scored.items() if "two_way" in _found(v)}
    rows = {k: v for k, v in rows.items() if v[0] is not None}
    if not rows:
        return Html()
    said = ", ".join(f"{k} {number(v)}" for k, (v, _) in rows.items())
    spread = {k: i for k, (_, i) in rows.items()}
    whiskers = "whiskers: 90% interval over clips; " if any(spread.values()) else ""
    clips = max(int(_found(v).get("n_clips") or 0) for v in scored.values())
    caption = (
        f"Which of two clips was seen or heard? Mean over {clips} test clips of the share of other clips that each "
        f"was told from, read from everybody's scans together; {whiskers}dashed: chance, one half. "
        f"Seed {run.metrics.get('seed')}."
    )
    shares = {k: v for k, (v, _) in rows.items()}
    drawing = bars(shares, 0.5, "chance", "share of other clips told from", own=shares, spread=spread)
    return figure(svg(drawing, f"Clips told from other clips, mean share: {said}; chance 0.5"), caption, "narrow")


def _table(scored: dict[str, Any]) -> Html:
    rows = [
        [
            kind,
            v["loss"].get("measured"),
            v["loss"].get("permuted"),
            _found(v).get("two_way"),
            legend.span(_found(v).get("interval")),
            0.5 if _found(v).get("two_way") is not None else None,
            _found(v).get("p"),
            _found(v).get("n_clips"),
        ]
        for kind, v in scored.items()
    ]
    return table("Every signal at a glance, on test blocks", HEAD, rows)


def _words() -> Html:
    meanings = {**LOSSES, COLUMNS["roundtrip"]: legend.ROUND_TRIP, COLUMNS["training_mean"]: legend.TRAINING_MEAN}
    rows = [[tag("dt", k), tag("dd", f"{v[0].upper()}{v[1:]}.")] for k, v in meanings.items()]
    return folded("What was decoded from what", tag("dl", *rows))
