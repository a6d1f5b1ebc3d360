"""The folder of a run, read: its figures, settings and study, and its model, which is loaded when it is first used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from giblet.api.extracted import html_table
from giblet.api.request import registry_of_run
from giblet.api.studies import FilePath, Seconds
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.data.written import read_object
from giblet.errors import ConfigError
from giblet.types import positive_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from giblet.pipeline.reopen import Reopened, ReopenedStudy
    from giblet.types import Progress

SHOWN = ("r", "ridge_r", "banded_r", "hrf_banded_r", "hrf_group_r", "ceiling", "null_p95", "p")


class OpenedRun(ABC):
    """What can be read of a run; `Run` is what it can be used for."""

    def __init__(self, path: FilePath) -> None:
        self.path = Path(path)
        self._data: dict[Path, ReopenedStudy] = {}

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """Every figure of the report, as in `metrics.json`.

        Raises
        ------
        ConfigError
            If the run is not finished.
        DataError
            If the file is damaged.
        """
        return finished_metrics(self.path)

    @property
    def summary(self) -> str:
        """The first sentence of the report: was there a relation, and did the model beat ridge?"""
        return str(self.metrics["summary"])

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @cached_property
    def config(self) -> RunConfig:
        """Every setting."""
        return RunConfig.model_validate(read_object(self.path / "config.json"))

    @property
    def training(self) -> list[dict[str, Any]]:
        """Every validation of every stage: `stage`, `step`, `train`, `validation`, `seconds` and more, as logged.

        What a killed process logged behind its last checkpoint was done again, and counts once.
        """
        from giblet.pipeline.folder import RunFolder

        rows = RunFolder(self.path).read_log()
        return list({(r["stage"], r["step"]): r for r in rows}.values())

    @cached_property
    def notes(self) -> list[str]:
        """What was assumed of the study or cut from it."""
        return list(read_object(self.path / "inputs.json", "notes")["notes"])

    @property
    def study(self) -> Study:
        """The study that it was made from.

        Raises
        ------
        DataError
            If one of its files is gone or has changed.
        """
        from giblet.pipeline.reopen import study_of

        return study_of(self.path)

    @property
    def subjects(self) -> list[str]:
        """Everybody the model has heads for."""
        return self._model.subjects

    @property
    def regions(self) -> list[str]:
        """The names and networks of the study's atlas, as `lesion` takes them; none without an atlas."""
        from giblet.pipeline.regions import read_atlas

        study = self.study
        atlas = read_atlas(study.atlas, study.labels, self._model.brain)
        return [] if atlas is None else list(dict.fromkeys([*atlas.networks, *atlas.names]))

    @property
    @abstractmethod
    def folds(self) -> Sequence[OpenedRun]:
        """The run of each fold."""

    def write_report(self) -> Path:
        """Write the page again, and return its path.

        Raises
        ------
        ConfigError
            If the run is not finished.
        DataError
            If a file that the page shows is damaged.
        """
        from giblet.report import write_report

        finished_metrics(self.path)
        return write_report(self.path)

    def write_listening(
        self,
        out: FilePath | None = None,
        *,
        task: Literal["abx", "match"] = "abx",
        sound: str | None = None,
        against: str = "original",
        trials: int = 16,
        clip_s: Seconds = 4,
        seed: int = 0,
    ) -> Path:
        """Write a page for blind listening to the run's sounds, and return its path.

        Parameters
        ----------
        out
            The page; default `listen.html` in the run's folder.
        task
            "abx": A and B are one moment in two versions, X is one of them. "match": A and B are two moments of
            `against`, X is one of them in `sound`.
        sound, against
            Files of `reconstructions/audio`; by default `sound` is "roundtrip", or "measured" for "match".
        trials
            How many.
        clip_s
            Length of a clip in seconds.
        seed
            Of the order.

        Raises
        ------
        ConfigError
            If the run is not finished, has no such sounds, or they are too short.
        DataError
            If the length is not positive.
        """
        from giblet.pipeline.listening import make_page

        finished_metrics(self.path)
        versions = sound or ("measured" if task == "match" else "roundtrip"), against
        page = self.path / "listen.html" if out is None else Path(out)
        return make_page(self.path, page, task, versions, positive_seconds(clip_s, "a clip"), seed, trials)

    def _read(self, again: Reopened, study: Study, progress: Progress) -> ReopenedStudy:
        """The run with its data, which are read once for as many lesions as there may be."""
        from giblet.pipeline.reopen import with_data

        if study.folder not in self._data:
            self._data[study.folder] = with_data(again, study, progress)
        return self._data[study.folder]

    def _open(self, progress: Progress) -> Reopened:
        """The model; loading torch and the weights takes seconds."""
        progress("open the run", 0, 1)
        again = self._model
        progress("open the run", 1, 1)
        return again

    @cached_property
    def _model(self) -> Reopened:
        from giblet.pipeline.reopen import reopen

        return reopen(self.path, registry_of_run())

    def __repr__(self) -> str:
        done = (self.path / "metrics.json").is_file()
        return f"<Run {self.path}: {self.summary if done else 'not finished'}>"

    def _repr_html_(self) -> str:
        if not (self.path / "metrics.json").is_file():
            return f"<p>{escape(repr(self))}</p>"
        fmri = self.metrics["fmri"]
        names = tuple(n for n in SHOWN if n in fmri)
        rows = [["people", *(fmri[n] for n in names)]]
        return f"<p>{escape(self.summary)}</p>{html_table(('held-out r', *names), rows)}"


def finished_metrics(run: Path) -> dict[str, Any]:
    """The figures of a finished run.

    Raises
    ------
    ConfigError
        If it is not finished.
    DataError
        If the file is damaged.
    """
    if not (run / "metrics.json").is_file():
        raise ConfigError(f"{run} holds no finished run (no metrics.json); give the --out of a `giblet run`")
    return read_object(run / "metrics.json", "summary", "fmri")
