"""How each stage of training went."""

from __future__ import annotations

from giblet.report.figures import curve, svg
from giblet.report.markup import Html, Section, figure, html, number, paragraphs, tag
from giblet.report.run_folder import RunFolder

TRUNK_CONSTANT = 2.0
"""Of the loss of BOLD: 1 of squared error and 1 of 1 - r."""
LOSSES = (
    "Relative loss: the best constant predictor has 1 (dotted), perfect is 0. The trunk's is the sum of two such "
    "terms, of squared error and of 1 - r: there a constant has 2. The decoders train on a sum over all that they make "
    "(right scale); their validation loss is the mean over signals (left). What is trained again on all but the test "
    "has no validation loss."
)


def render(run: RunFolder) -> Section | None:
    """A curve for each stage."""
    if not run.train:
        return None
    stages = list(dict.fromkeys(row["stage"] for row in run.train))
    grid = tag("div", *(_stage(run, stage) for stage in stages), class_="grid curves")
    return Section(
        "training", "Training", html([grid, paragraphs(f"One training, seed {run.metrics.get('seed')}.", LOSSES)])
    )


def _stage(run: RunFolder, stage: str) -> Html:
    rows = [row for row in run.train if row["stage"] == stage]
    known = [row["validation"] for row in rows if row.get("validation") is not None]
    best = f"best validation loss {number(min(known))}" if known else "no validation loss"
    said = f"{stage}: {rows[-1]['step']:,} steps, {best}, {number(sum(_spent(rows)))} s."
    return figure(
        svg(curve(rows, stage, constant_of(stage), stage.startswith("decoders")), f"Training curve of {said}"), said
    )


def constant_of(stage: str) -> float:
    """What a constant scores in the loss of a stage."""
    return TRUNK_CONSTANT if stage.startswith("trunk") else 1.0


def _spent(rows: list[dict[str, float]]) -> list[float]:
    """Seconds of a stage; they count up from its start, or from its restart after a break."""
    seconds = [float(row.get("seconds") or 0) for row in rows]
    return [a for a, b in zip(seconds, [*seconds[1:], 0.0], strict=True) if b < a]
