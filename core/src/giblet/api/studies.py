"""Where a study comes from: a study.toml, files alone, or a made-up world."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import count
from os import PathLike
from pathlib import Path

from giblet.api.progress import progress_bars
from giblet.data import study as reading
from giblet.data.study import Study
from giblet.data.written import read_object
from giblet.errors import ConfigError
from giblet.types import seconds

FilePath = str | PathLike[str]
Seconds = float | str | Fraction
DEMO_STEPS = 3


def load_study(path: FilePath, *, tr_s: Seconds | None = None, exclude: str | Collection[str] = ()) -> Study:
    """Read a study.toml, or the one in a folder.

    Parameters
    ----------
    path
        The file or its folder.
    tr_s
        Overrules the TR of every header, in seconds.
    exclude
        Subjects, or `SUBJECT/RUN`, that are left out unread.

    Raises
    ------
    ConfigError
        If a key is unknown, a name is used twice or not at all, or a block of the split is not within its run.
    DataError
        If a file is missing or a scan is not what it was said to be.
    """
    return reading.load_study(Path(path), None if tr_s is None else seconds(tr_s), names_of(exclude))


def study_from_files(
    film: FilePath | Sequence[FilePath] = (),
    annotations: FilePath | Sequence[FilePath] = (),
    bold: FilePath | Sequence[FilePath] = (),
    *,
    tr_s: Seconds | None = None,
    offset_s: Seconds | Sequence[Seconds] = (),
    features: Mapping[str, FilePath] | None = None,
    exclude: str | Collection[str] = (),
    transposed: bool = False,
) -> Study:
    """A study from files alone: who, which run and which film are read off their names.

    Parameters
    ----------
    film, bold
        Paths or globs; one film for all scans, or one a run. Without `bold` the study can only be extracted.
    annotations
        A table, subtitles or TextGrid of each film, or "embedded".
    tr_s
        Overrules the TR of every header, in seconds.
    offset_s
        Stimulus time at which volume 0 begins, in seconds: one for all, or one a run.
    features
        Ready-made features by name, tables [time, columns].
    exclude
        Subjects, or `SUBJECT/RUN`, that are left out.
    transposed
        Tables of `bold` have one row a parcel, not a TR.

    Raises
    ------
    ConfigError
        If there is nothing to study, a glob matches nothing, or it is open which files belong together.
    DataError
        If a file is missing or a scan is not what its name says.
    """
    scans = [str(p) for p in _listed(bold)]
    return reading.study_from_flags(
        [Path(p) for p in _listed(film)],
        [str(p) for p in _listed(annotations)],
        scans,
        None if tr_s is None else seconds(tr_s),
        _offsets(offset_s),
        [(name, Path(path)) for name, path in (features or {}).items()],
        names_of(exclude),
        needs_bold=bool(scans),
        transposed=transposed,
    )


def study_from_bids(
    folder: FilePath,
    task: str | None = None,
    space: str | None = None,
    *,
    film: FilePath | Sequence[FilePath] = (),
    annotations: FilePath | Sequence[FilePath] = (),
    tr_s: Seconds | None = None,
    offset_s: Seconds | Sequence[Seconds] = (),
    features: Mapping[str, FilePath] | None = None,
    exclude: str | Collection[str] = (),
) -> Study:
    """A study from a BIDS data set with fMRIPrep's derivatives: scans, brain masks, confounds and films by their names.

    Parameters
    ----------
    folder
        The data set, or the folder of the derivatives.
    task
        Need not be given where there is one.
    space
        As fMRIPrep writes it, for example "MNI152NLin2009cAsym:res-2"; need not be given where there is one.
    film, annotations, features
        As of `study_from_files`; they take the place of what events.tsv says.
    tr_s
        Overrules the TR of every header, in seconds.
    offset_s
        Stimulus time at which volume 0 begins, in seconds; default what events.tsv says, or 0 with films given here.
    exclude
        Subjects, or `SUBJECT/RUN`, that are left out.

    Raises
    ------
    ConfigError
        If a task or space does not exist, or it is open which is meant, or what was shown.
    DataError
        If a file is missing or a scan is not what its name says.
    """
    from giblet.data.bids import study_from_bids as read
    from giblet.data.bids_stimuli import Given

    given = Given(
        [Path(p) for p in _listed(film)],
        [str(p) for p in _listed(annotations)],
        [(name, Path(path)) for name, path in (features or {}).items()],
        _offsets(offset_s),
        None if tr_s is None else seconds(tr_s),
        names_of(exclude),
    )
    return read(Path(folder), task, space, given)


def _offsets(offset_s: Seconds | Sequence[Seconds]) -> list[Fraction]:
    return [seconds(o) for o in ([offset_s] if isinstance(offset_s, float | int | str | Fraction) else offset_s)]


def names_of(names: str | Collection[str]) -> Sequence[str]:
    """Several names, or one that stands alone."""
    return [names] if isinstance(names, str) else list(names)


def _listed(paths: FilePath | Iterable[FilePath]) -> list[FilePath]:
    return [paths] if isinstance(paths, str | PathLike) else list(paths)


def demo_study(
    folder: FilePath,
    *,
    seed: int = 0,
    null: bool = False,
    shifted_s: float = 0.0,
    bids: bool = False,
    films: int = 2,
    quiet: bool = False,
) -> Study:
    """The demo study in a folder: films, annotations, six people's scans, an atlas, and a known truth.

    It is made unless the folder holds it already; the same seed makes the same files.

    Parameters
    ----------
    folder
        Where it lies.
    seed
        Of the made-up world.
    null
        Phase-randomise the scans: nothing can be predicted.
    shifted_s
        Make responses come this much too late, in seconds.
    bids
        Write it as a BIDS data set with fMRIPrep's derivatives, and with motion in the scans.
    films
        How many films of 8 min: the second trains, validates and tests, all others train. Each number of them has other
        films, and the same brains.
    quiet
        Show no progress.

    Raises
    ------
    ConfigError
        If the folder holds something else, or a demo of other arguments, or there are fewer than two films.
    DataError
        If `shifted_s` is not a time, or longer than a run.
    """
    from giblet.data.demo import make_bids_demo, make_demo

    place = Path(folder)
    marker, read = ("dataset_description.json", study_from_bids) if bids else ("study.toml", load_study)
    if (place / marker).is_file() and (place / "truth.json").is_file():
        _require_same(place, {"seed": seed, "null": null, "shifted_s": shifted_s, "films": films})
        return read(place)
    with progress_bars(quiet=quiet) as progress:
        begun = count()
        made = (make_bids_demo if bids else make_demo)(
            place,
            seed,
            null=null,
            shifted_s=shifted_s,
            progress=lambda what: progress("demo study", next(begun), DEMO_STEPS),
            films=films,
        )
        progress("demo study", DEMO_STEPS, DEMO_STEPS)
    return read(made)


def demo_plan(folder: FilePath, *, tr_s: Seconds | None = None, exclude: str | Collection[str] = ()) -> Study:
    """What `demo_study` would make, to be checked before it is made.

    Raises
    ------
    ConfigError, DataError
        As `load_study`.
    """
    from giblet.data.demo import demo_outline

    return demo_outline(Path(folder), None if tr_s is None else seconds(tr_s), names_of(exclude))


def _require_same(place: Path, asked: Mapping[str, float]) -> None:
    truth = {"films": 2} | read_object(place / "truth.json")
    for name, value in asked.items():
        if truth.get(name, value) != value:
            raise ConfigError(
                f"{place} holds a demo study with {name} {truth[name]}, not {value}; name another folder for the demo"
            )


def as_study(study: Study | FilePath) -> Study:
    """A study, or the one that a path names."""
    return study if isinstance(study, Study) else load_study(study)
