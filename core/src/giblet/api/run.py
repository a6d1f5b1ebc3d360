"""A run, opened, and used: for new films, new scans and lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from giblet.api.opened import OpenedRun
from giblet.api.progress import progress_bars
from giblet.api.studies import FilePath, Seconds, as_study, names_of, study_from_files
from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.types import positive_seconds
from giblet.types import seconds as exact

if TYPE_CHECKING:
    from giblet.api.results import Decoding, Lesion, Prediction
    from giblet.data.study import Stimulus

SphereMm = tuple[float, float, float, float]


class Run(OpenedRun):
    """A run's folder. Its model is loaded when it is first used, and kept."""

    @property
    def folds(self) -> list[Run]:
        """The run of each fold; none unless it was made with `folds`."""
        places = sorted(self.path.glob("fold-*/run.json"), key=lambda p: int(p.parent.name.removeprefix("fold-")))
        return [Run(p.parent) for p in places]

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
            If it is several films, has nothing that the model reads, or fewer TRs than asked for.
        DataError
            If a file is missing or broken, or features have another shape than the run's.
        """
        from giblet.api.results import Prediction

        begin_s = exact(offset_s)
        with progress_bars(quiet=quiet) as progress:
            again = self._open(progress)
            from giblet.pipeline.predict import predict_film

            study = study_from_files(film or (), annotations or (), tr_s=again.blueprint.tr_s, features=features)
            return Prediction(predict_film(again, _only(study), progress, begin_s, trs))

    def decode(
        self,
        scan: FilePath,
        *,
        subject: str | None = None,
        seconds: Seconds | None = None,
        tr_s: Seconds | None = None,
        confounds: FilePath | None = None,
        confound_columns: Sequence[str] = (),
        right: FilePath | None = None,
        transposed: bool = False,
        variable: str | None = None,
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
        confounds
            Its table of confounds, where the run's scans were cleaned of theirs; default fMRIPrep's beside the scan.
        confound_columns
            Which columns of it; default those that the run took.
        right
            The right hemisphere, where `scan` is the left one.
        transposed
            The table has one row a parcel, not a TR.
        variable
            The array of a .mat file; default the run's.
        quiet
            Show no progress.

        Raises
        ------
        ConfigError
            If the run has no such subject, cannot read somebody new, or has nothing that can be played.
        DataError
            If the scan is in another space, has another TR, is too short or lacks its confounds, or a time is not
            positive.
        """
        from giblet.api.results import Decoding
        from giblet.types import ScanFiles

        tr = None if tr_s is None else positive_seconds(tr_s, "a TR")
        most_s = None if seconds is None else positive_seconds(seconds, "a length")
        with progress_bars(quiet=quiet) as progress:
            again = self._open(progress)
            from giblet.pipeline.decoding import decode_scan

            hemisphere, table = (None if p is None else Path(p) for p in (right, confounds))
            files = ScanFiles(transposed or None, variable, hemisphere, table, tuple(confound_columns))
            return Decoding(decode_scan(again, Path(scan), progress, subject, most_s, tr, files))

    def lesion(
        self,
        regions: str | Sequence[str] = (),
        *,
        networks: str | Sequence[str] = (),
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
            If there is no such place, or a value is not possible.
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
            wanted = Wanted(names_of(regions), names_of(networks), place, sphere, components)
            options, again = Options(how, strength, draws, random, only), self._open(progress)
            found = study_of(self.path, None if study is None else as_study(study))
            return Lesion(lesion_run(again, found, wanted, options, progress, self._read))


def _only(study: Study) -> Stimulus:
    """The one film of a study."""
    if len(study.stimuli) > 1:
        films = ", ".join(s.name for s in study.stimuli)
        raise ConfigError(f"{len(study.stimuli)} films were given ({films}); give one at a time")
    return study.stimuli[0]


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
