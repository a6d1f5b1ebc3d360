"""What evaluation left in a run's folder, and whether all of it is still there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from giblet.pipeline.folder import RunFolder

METRICS, REPORT = "metrics.json", "report.html"
FILES = ("draws.npz", "maps.npz")
FOLDERS = ("predictions", "reconstructions")


def written_files(run: Path) -> list[str]:
    """What evaluation has written beside the metrics, by path within the run's folder."""
    inside = [p for folder in FOLDERS for p in (run / folder).rglob("*") if p.is_file()]
    return [*FILES, *sorted(p.relative_to(run).as_posix() for p in inside)]


def kept_metrics(folder: RunFolder) -> dict[str, Any] | None:
    """The metrics of a run, where all that was written with them is there; None where it must be evaluated.

    Raises
    ------
    DataError
        If they are damaged.
    """
    metrics: dict[str, Any] | None = folder.read_json(METRICS)
    if metrics is None or any(not (folder.path / name).is_file() for name in metrics["files"]):
        return None
    return metrics
