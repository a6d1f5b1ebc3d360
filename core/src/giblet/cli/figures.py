"""What a run prints when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


def row(cells: Sequence[object], widths: Sequence[int]) -> str:
    """Cells in columns, the first to the left; numbers with three decimals, what is missing as a dash."""
    texts = ["-" if c is None else f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells]
    return texts[0].ljust(widths[0]) + "".join(t.rjust(w) for t, w in zip(texts[1:], widths[1:], strict=True))


def print_streams(streams: Sequence[dict[str, Any]]) -> None:
    """What was extracted, a line a stream."""
    widths = (24, 16, 16, 10, 10, 11, 7, 9)
    click.echo(row(("stimulus", "signal", "modality", "samples", "rate Hz", "frames/TR", "TRs", "covered"), widths))
    for s in streams:
        rate = "events" if s["rate_hz"] is None else float(s["rate_hz"])
        names = (s["stimulus"], s["signal"], s["modality"])
        click.echo(row((*names, s["samples"], rate, s["frames_per_tr"], s["n_trs"], s["covered_trs"]), widths))


def print_summary(metrics: dict[str, Any]) -> None:
    """The first line of the report, its warnings, and the figures that matter most."""
    from giblet.report import legend

    click.echo(metrics["summary"])
    for warning in metrics["warnings"]:
        click.echo(f"warning: {warning}")
    _print_folds(metrics.get("folds"))
    fmri, widths = metrics["fmri"], (26, 9, 9, 9, 9, 11, 9, 10, 8)
    ridges = ("FIR", "banded", "HRF", "HRF, group")
    click.echo("\n" + row(("held-out r", "model", *ridges, "ceiling", "null p95", "p"), widths))
    for label, part in (("people", fmri), ("group mean", fmri.get("group"))):
        if part:
            names = ("r", "ridge_r", "banded_r", "hrf_banded_r", "hrf_group_r", "ceiling", "null_p95", "p")
            click.echo(row((label, *(part.get(n) for n in names)), widths))
    click.echo(f"ceiling of people: {legend.ceiling(fmri)}")
    if (peak := fmri["hrf_peak_s"].get("all")) is not None:
        click.echo(f"the response to a TR of stimulus peaks {peak:.1f} s after its middle")
    if truth := metrics.get("truth", {}).get("ceiling"):
        ratio = metrics["truth"]["ratio_to_ceiling"]
        click.echo(f"truth: ceiling {truth:.3f}, reached {ratio:.0%} of it")
    decoded = {name: m for name, m in metrics.items() if isinstance(m, dict) and "loss" in m}
    _print_losses(decoded)
    _print_identification({name: m["identification"] for name, m in decoded.items()})


def _print_folds(folds: dict[str, Any] | None) -> None:
    if folds is None:
        return
    widths = (26, 9, 12, 12)
    click.echo("\n" + row(("held-out r", "model", "best ridge", "difference"), widths))
    for k, cells in enumerate(zip(folds["r"], folds["ridge_r"], folds["gains"], strict=True), 1):
        click.echo(row((f"fold {k}", *cells), widths))


def _print_losses(decoded: dict[str, dict[str, Any]]) -> None:
    conditions, widths = ("predicted", "noisy", "measured", "permuted"), (26, 10, 10, 10, 10)
    click.echo("\n" + row(("test loss (constant = 1)", *conditions), widths))
    for name, m in decoded.items():
        click.echo(row((name, *(m["loss"][c] for c in conditions)), widths))


def _print_identification(found: dict[str, dict[str, Any]]) -> None:
    """From everybody's scans together; chance in brackets."""
    widths = (26, 16, 16, 16, 10, 8)
    click.echo("\n" + row(("clips identified (chance)", "2-way", "top-1", "top-5", "set size", "p"), widths))
    for name, f in found.items():
        chances = {"two_way": 0.5, "top1": f["chance_top1"], "top5": f["chance_top5"]}
        cells = [None if f[k] is None else f"{f[k]:.3f} ({chance:.3f})" for k, chance in chances.items()]
        click.echo(row((name, *cells, f["set_size"], f["p"]), widths))
