"""A run, opened: its figures, and its model for new films, new scans and lesions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from giblet.api.extracted import html_table
from giblet.api.progress import progress_bars
from giblet.api.request import registry_of_run
from giblet.api.studies import FilePath, Seconds, as_study, study_from_files
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.types import seconds as exact

if TYPE_CHECKING:
    from giblet.api.results import Decoding, Lesion, Prediction
    from giblet.pipeline.reopen import Reopened, ReopenedStudy
    from giblet.types import Progress

SphereMm = tuple[float, float, float, float]
SHOWN = ("r", "ridge_r", "banded_r", "hrf_banded_r", "hrf_group_r", "ceiling", "null_p95", "p")


class Run:
    """A run's folder. Its model is loaded when it is first used, and kept."""

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
        """
        if not (self.path / "metrics.json").is_file():
            raise ConfigError(f"{self.path} holds no finished run (no metrics.json); give the --out of a `giblet run`")
        found: dict[str, Any] = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        return found

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
        return RunConfig.model_validate_json((self.path / "config.json").read_text(encoding="utf-8"))

    @cached_property
    def notes(self) -> list[str]:
        """What was assumed of the study or cut from it."""
        return list(json.loads((self.path / "inputs.json").read_text(encoding="utf-8"))["notes"])

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
    def folds(self) -> list[Run]:
        """The run of each fold; none unless it was made with `folds`."""
        places = sorted(self.path.glob("fold-*/run.json"), key=lambda p: int(p.parent.name.removeprefix("fold-")))
        return [Run(p.parent) for p in places]

    def write_report(self) -> Path:
        """Write the page again, and return its path.

        Raises
        ------
        ConfigError
            If the run is not finished.
        """
        from giblet.report import write_report

        assert self.metrics
        return write_report(self.path)

    def predict(
        self,
        film: FilePath | None = None,
        *,
        annotations: FilePath | None = None,
        features: Mapping[str, FilePath] | None = None,
        offset_s: Seconds = 0,
        trs: int | None = None,
        quiet: bool = False,
    ) -> Prediction:
        """Predict everybody's scan of a film (or of annotations or features alone) that the run has never seen.

        Parameters
        ----------
        film
            A film or a sound file; what it lacks of the run's modalities is left out, and said in `missing`.
        annotations
            Table, subtitles or TextGrid of the film, or "embedded".
        features
            Ready-made features that the run had too, by name.
        offset_s
            Film time in seconds at which volume 0 begins.
        trs
            How many TRs; default all of the film.
        quiet
            Show no progress.

        Raises
        ------
        ConfigError
            If the film has nothing that the model reads, or fewer TRs than asked for.
        DataError
            If a file is missing or broken, or features have another shape than the run's.
        """
        from giblet.api.results import Prediction

        begin_s = exact(offset_s)
        with progress_bars(quiet=quiet) as progress:
            again = self._open(progress)
            from giblet.pipeline.predict import predict_film

            tr_s = again.blueprint.tr_s
            stimuli = study_from_files(film or (), annotations or (), tr_s=tr_s, features=features).stimuli
            return Prediction(predict_film(again, stimuli[0], progress, begin_s, trs))

    def decode(
        self,
        scan: FilePath,
        *,
        subject: str | None = None,
        seconds: float | None = None,
        tr_s: Seconds | None = None,
        quiet: bool = False,
    ) -> Decoding:
        """Turn a measured scan back into film, sound and text.

        Parameters
        ----------
        scan
            In the space of the run's scans, with their TR.
        subject
            Who of the run it is; default somebody new.
        seconds
            Make no more than this.
        tr_s
            The TR in seconds; overrules the header.
        quiet
            Show no progress.

        Raises
        ------
        ConfigError
            If the run has no such subject, cannot read somebody new, or has nothing that can be played.
        DataError
            If the scan is in another space, has another TR, or is too short.
        """
        from giblet.api.results import Decoding

        tr = None if tr_s is None else exact(tr_s)
        with progress_bars(quiet=quiet) as progress:
            again = self._open(progress)
            from giblet.pipeline.decoding import decode_scan

            return Decoding(decode_scan(again, Path(scan), progress, subject, seconds, tr))

    def lesion(
        self,
        regions: Sequence[str] = (),
        *,
        networks: Sequence[str] = (),
        mask: FilePath | None = None,
        sphere: SphereMm | None = None,
        components: Sequence[int] = (),
        only: bool = False,
        how: Literal["resample", "zero", "mean"] = "resample",
        strength: float = 1.0,
        draws: int = 4,
        random: int = 1000,
        study: Study | FilePath | None = None,
        quiet: bool = False,
    ) -> Lesion:
        """Take a part of the brain away, and see what each modality loses.

        Parameters
        ----------
        regions, networks, mask, sphere, components
            What to take away, exactly one of them: names of the atlas; networks of it; a NIfTI on the scans' grid;
            (x, y, z, radius) in mm; or components of a compressed brain space. Several names are one lesion.
        only
            Keep it alone: ablate everything else.
        how
            What stands in its place: values of another moment, zero, or the block's mean.
        strength
            Share that is ablated, 0 to 1.
        draws
            Moments that ablated values are taken from.
        random
            Matched random lesions to compare with.
        study
            The run's study, if its files have moved.
        quiet
            Show no progress.

        Raises
        ------
        ConfigError
            If there is no such place.
        DataError
            If an image is on another grid, or a file of the study is gone or has changed.
        """
        from giblet.api.results import Lesion

        with progress_bars(quiet=quiet) as progress:
            progress("open the run", 0, 1)
            from giblet.pipeline.lesion import Options, lesion_run
            from giblet.pipeline.lesion_target import Wanted
            from giblet.pipeline.reopen import study_of

            place = None if mask is None else Path(mask)
            wanted = Wanted(_names(regions), _names(networks), place, sphere, components)
            options, again = Options(how, strength, draws, random, only), self._open(progress)
            found = study_of(self.path, None if study is None else as_study(study))
            return Lesion(lesion_run(again, found, wanted, options, progress, self._read))

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


def _names(names: Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def open_run(path: FilePath) -> Run:
    """Open the folder of a run.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if not (Path(path) / "run.json").is_file():
        raise ConfigError(f"{path} is not the folder of a run; give the --out of a `giblet run`")
    return Run(path)
