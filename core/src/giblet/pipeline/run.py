"""`giblet run`: train in three stages, evaluate, reconstruct, report; what is there is not done again."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from giblet.config import RunConfig
from giblet.data.store import by_content, digest
from giblet.data.study import Study
from giblet.pipeline.evaluate import evaluate, require_evaluation
from giblet.pipeline.evaluated import METRICS, REPORT, kept_metrics, written_files
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.machine import machine
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.study_record import identity, record
from giblet.pipeline.train import train
from giblet.types import Progress

MACHINE = frozenset({"accumulate", "device", "parallel", "readers", "recompute", "save_every_s"})
"""Settings of training that say how a machine computes and keeps a step, not what: a run may go on with others."""
PACKAGES = ("giblet", "torch", "numpy", "nilearn", "av")


def open_run(out: Path, study: Study, config: RunConfig, inputs: Inputs, *, writes: bool = True) -> RunFolder:
    """The run's folder, which knows by a fingerprint of settings, inputs and version whether it is the same run.

    Of several processes that train together, one `writes`.
    """
    if not writes:
        return RunFolder(out, writes=False)
    settings, split = config.model_dump(mode="json"), inputs.described["split"]
    decisive = settings | {"train": {k: v for k, v in settings["train"].items() if k not in MACHINE}}
    fingerprint = digest([by_content(decisive), inputs.keys, identity(study), version("giblet"), split])
    folder = RunFolder.open(out, settings, fingerprint)
    folder.write_json("inputs.json", inputs.described)
    folder.write_json("study.json", record(study, out))
    return folder


def run_study(
    study: Study, config: RunConfig, inputs: Inputs, folder: RunFolder, command: str, progress: Progress
) -> dict[str, Any]:
    """Train, evaluate and report; returns the metrics.

    It is evaluated again where a file is gone that evaluation writes.

    Raises
    ------
    GibletError
        If anything that the run needs cannot be had.
    """
    metrics = kept_metrics(folder)
    if metrics is None:
        require_evaluation(study, config, inputs)
    trained = train(inputs, config, folder, progress)
    if metrics is None:
        for name in (METRICS, REPORT):  # of an evaluation that lost a file
            (folder.path / name).unlink(missing_ok=True)
        metrics = evaluate(study, config, inputs, trained, folder, progress)
        metrics |= {"study": study.name, "command": command, "seed": config.seed}
        metrics |= {"versions": {p: version(p) for p in PACKAGES}, "machine": machine()}
        metrics |= {"files": written_files(folder.path)}
        folder.write_json(METRICS, metrics)
    if not (folder.path / REPORT).exists():
        from giblet.report import write_report

        progress("report", 0, 1)
        with folder.stage("report"):
            write_report(folder.path)
        progress("report", 1, 1)
    return metrics
