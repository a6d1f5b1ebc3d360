"""`giblet run --folds K`: a full run for every fold, and one report of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.data.written import read_arrays
from giblet.pipeline.evaluated import METRICS, REPORT, kept_metrics
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.pooled import pool, pool_maps
from giblet.pipeline.prepare import Inputs, extract_study
from giblet.pipeline.run import open_run, run_study
from giblet.pipeline.saving import FOLDER, is_whole
from giblet.pipeline.splits import in_fold, one_fold
from giblet.plugins import Registry
from giblet.types import Progress


def run_folds(
    study: Study,
    config: RunConfig,
    registry: Registry,
    out: Path,
    command: str,
    progress: Progress,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train and report each fold in `out/fold-K`, then pool them; returns the pooled metrics.

    A fold that is finished is not repeated, and one that was begun goes on. `say` gets what must be said of the files.

    Raises
    ------
    GibletError
        If the folds are not possible, or anything that a run needs cannot be had.
    """
    n = config.split.folds
    root: RunFolder | None = None
    splits: dict[str, Any] = {}
    every: list[dict[str, Any]] = []
    for k in range(1, n + 1):
        chosen = one_fold(config, k)
        inputs = extract_study(study, chosen, registry, progress)
        if root is None:
            root = open_run(out, study, config, inputs)
            for note in inputs.described["notes"]:
                say(note)
        splits |= {in_fold(k, run): blocks for run, blocks in inputs.described["split"].items()}
        every.append(_fold(study, chosen, inputs, out / f"fold-{k}", command, progress))
        progress("folds", k, n)
    assert root is not None
    root.write_json("inputs.json", inputs.described | {"split": splits})
    return _pooled(root, every, config)


def _fold(
    study: Study, config: RunConfig, inputs: Inputs, out: Path, command: str, progress: Progress
) -> dict[str, Any]:
    """The metrics of one fold, from its folder where it is finished and whole."""
    folder = open_run(out, study, config, inputs)
    done = kept_metrics(folder)
    if done is not None and (out / REPORT).exists() and is_whole(out / FOLDER):
        return done
    return run_study(study, config, inputs, folder, command, progress)


def _pooled(root: RunFolder, every: Sequence[dict[str, Any]], config: RunConfig) -> dict[str, Any]:
    """Write metrics, maps and the page of all folds; always anew, for it takes seconds."""
    from giblet.report import write_report

    folders = [root.path / f"fold-{k}" for k in range(1, len(every) + 1)]
    draws = [read_arrays(f / "draws.npz") for f in folders]
    metrics = pool(every, draws, config.seed)
    metrics |= {k: every[0][k] for k in ("study", "command", "seed", "versions", "machine")}
    root.write_json(METRICS, metrics)
    if maps := pool_maps(folders):
        np.savez_compressed(root.path / "maps.npz", **maps)
    write_report(root.path)
    return metrics
