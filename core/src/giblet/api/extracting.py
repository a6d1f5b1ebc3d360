"""`giblet.extract_many`: the features of many films at once, before the runs that need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from giblet.api.choice import NONE
from giblet.api.fitting import LOG, tell
from giblet.api.lacking import WORDS
from giblet.api.progress import progress_bars
from giblet.api.request import Request, Settings, registry_of_run
from giblet.api.studies import FilePath, as_study
from giblet.data.study import Stimulus, Study
from giblet.errors import ConfigError, DataError
from giblet.media import audio_streams
from giblet.pipeline.many import ExtractedItem
from giblet.pipeline.many import extract_many as extract_all
from giblet.pipeline.spread import Engine

if TYPE_CHECKING:
    from giblet.config import RunConfig

__all__ = ["ExtractedItem", "extract_asked", "extract_many"]


def extract_many(
    studies: Study | FilePath | Sequence[Study | FilePath],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    settings: Settings | None = None,
    quiet: bool = False,
    **plugins: str | None,
) -> list[ExtractedItem]:
    """Extract the films of one or several studies in several processes, so that later runs find their features.

    What is there already is not done again, and nothing that is finished gets lost: the same call goes on. A file that
    cannot be read does not stop the others; its item says in `error` why.

    Parameters
    ----------
    studies
        Studies, or the paths of study files.
    jobs
        Processes on this machine; each has its share of the processors.
    scheduler
        Address of a dask scheduler whose workers do it instead; `GIBLET_CACHE` must be a folder that they all see.
    settings
        Settings by name, as the later runs will have them.
    quiet
        Show no progress.
    **plugins
        The plugin of each kind, for example `video="s3d"`, or "none".

    Raises
    ------
    GibletError
        If anything asked for does not exist, or nothing more can be written.
    """
    request = Request.of(plugins, settings)
    several = [studies] if isinstance(studies, Study | str) or not isinstance(studies, Sequence) else studies
    asked = [(as_study(study), request) for study in several]
    return extract_asked(asked, jobs=jobs, scheduler=scheduler, quiet=quiet)


def extract_asked(
    asked: Sequence[tuple[Study, Request]], *, jobs: int, scheduler: str | None, quiet: bool
) -> list[ExtractedItem]:
    """The same for studies that each have their own plugins and settings.

    Raises
    ------
    GibletError
        As `extract_many`.
    """
    if jobs < 1:
        raise ConfigError(f"jobs = {jobs} does nothing; give at least 1")
    if scheduler is not None and jobs > 1:
        raise ConfigError("jobs are processes of this machine, a scheduler has its own workers; give one of them")
    with progress_bars(quiet=quiet) as progress:
        whole = [(*_readable(study, request), request) for study, request in asked]
        planned = [_planned(study, request) for study, _, request in whole if study.stimuli]
        done = extract_all(planned, registry_of_run(), Engine(jobs, scheduler), progress, LOG.warning)
    return [item for _, broken, _ in whole for item in broken] + done


def _planned(study: Study, request: Request) -> tuple[Study, RunConfig]:
    found, config = request.of_study(study)
    tell(found.notes[len(study.notes) :])
    return found, config


def _readable(study: Study, request: Request) -> tuple[Study, list[ExtractedItem]]:
    """A study without the films that do not open, and these."""
    broken = {s.name: found for s in study.stimuli if (found := _broken(study.name, s, request.among(study)))}
    stimuli = tuple(s for s in study.stimuli if s.name not in broken)
    scans = tuple(scan for scan in study.scans if scan.stimulus not in broken)
    return replace(study, stimuli=stimuli, scans=scans), [item for items in broken.values() for item in items]


def _broken(study: str, stimulus: Stimulus, plugins: Mapping[str, str]) -> list[ExtractedItem]:
    """What cannot be extracted of a stimulus, because a file of film or sound does not open."""
    found = []
    for kind in WORDS.keys() & stimulus.files.keys():
        try:
            if plugins[kind] != NONE:
                audio_streams(stimulus.files[kind])
        except DataError as error:
            item = ExtractedItem(study, plugins[kind], stimulus.files[kind])
            found.append(replace(item, error=str(error), exit_code=error.exit_code))
    return found
