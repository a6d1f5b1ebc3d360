"""`giblet.fit` and `giblet.extract`: a study to its features, and to a trained, evaluated and reported run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from giblet.api.progress import progress_bars
from giblet.api.request import Request, Settings, registry_of_run, require_scans
from giblet.api.run import Run, open_run
from giblet.api.studies import FilePath, as_study

if TYPE_CHECKING:
    from giblet.api.extracted import Extracted
    from giblet.config import RunConfig
    from giblet.data.study import Study
    from giblet.types import Progress

LOG = logging.getLogger("giblet")


def extract(
    study: Study | FilePath,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    quiet: bool = False,
    **plugins: str | None,
) -> Extracted:
    """Turn a study's stimuli into features on the scanner's clock; what was extracted before is not done again.

    Parameters
    ----------
    study
        A study, or the path of a study.toml.
    settings
        Settings by name, for example `{"text.context_s": 10}`.
    seed
        Kept with the features when they are saved as the beginning of a run.
    quiet
        Show no progress.
    **plugins
        The plugin of each kind, for example `video="s3d"`, or "none".

    Raises
    ------
    GibletError
        If anything asked for does not exist or cannot be read.
    """
    from giblet.api.extracted import Extracted

    request = Request.of(plugins, settings, seed=seed)
    found, config = request.of_study(as_study(study))
    with progress_bars(quiet=quiet) as progress:
        progress("extract", 0, 1)
        from giblet.pipeline.prepare import extract_study

        inputs = extract_study(found, config, registry_of_run(), progress, brain=False)
    tell(inputs.described["notes"])
    return Extracted(found, config, inputs)


def fit(
    study: Study | FilePath,
    out: FilePath = "out/run",
    *,
    seed: int = 0,
    settings: Settings | None = None,
    folds: int | None = None,
    plumbing: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    command: str | None = None,
    **plugins: str | None,
) -> Run:
    """Do everything: extract, train, evaluate, reconstruct, report. The same call again goes on where it stopped.

    Parameters
    ----------
    study
        A study, or the path of a study.toml.
    out
        The run's folder.
    seed
        Seed of everything that is drawn.
    settings
        Settings by name, for example `{"train.trunk_steps": 500}`.
    folds
        Train as often, each time testing on another part, until all is tested.
    plumbing
        Train and score on the same TRs, labelled so; for data too short to split.
    overwrite
        Throw away the run that `out` holds, when the new one begins; what giblet did not write is never thrown away.
    quiet
        Show no progress.
    command
        How the report says it was made; default this call.
    **plugins
        The plugin of each kind, for example `audio="encodec"`, or "none".

    Raises
    ------
    GibletError
        If anything asked for does not exist, the folder holds another run or (with `overwrite`) somebody else's files,
        or the study cannot be split.
    """
    from giblet.pipeline.overwriting import making_room

    request = Request.of(plugins, settings, seed=seed, plumbing=plumbing, folds=folds)
    given, place = as_study(study), Path(out)
    call = command or _call(given, place, seed, settings, folds, plumbing, plugins)
    room = making_room(place, given, request.settings) if overwrite else nullcontext()
    with progress_bars(quiet=quiet) as progress, room:
        progress("check scans", 0, 1)
        require_scans(given)
        progress("check scans", 1, 1)
        found, config = request.of_study(given)
        _fit(found, config, place, call, progress)
    return open_run(place)


def _fit(study: Study, config: RunConfig, out: Path, call: str, progress: Progress) -> None:
    from giblet.pipeline.nuisance import read_nuisances
    from giblet.pipeline.spaces import build_brain

    progress("extract", 0, 1)
    from giblet.training.ranks import require_device

    require_device(config.train.device)
    registry = registry_of_run()
    read_nuisances(build_brain(registry, config, study), study.scans)  # what is missing is said before hours of film
    if config.split.all_folds:
        from giblet.pipeline.folds import run_folds

        run_folds(study, config, registry, out, call, progress, LOG.warning)
        return
    from giblet.pipeline.prepare import extract_study
    from giblet.pipeline.run import open_run as begin_run
    from giblet.pipeline.run import run_study

    inputs = extract_study(study, config, registry, progress)
    tell(inputs.described["notes"])
    run_study(study, config, inputs, begin_run(out, study, config, inputs), call, progress)


def tell(notes: Sequence[str]) -> None:
    """Say what was assumed, to whoever listens to the log `giblet`; a notebook shows it as it is."""
    for note in notes:
        LOG.warning("%s", note)


def _call(
    study: Study,
    out: Path,
    seed: int,
    settings: Settings | None,
    folds: int | None,
    plumbing: bool,
    plugins: dict[str, str | None],
) -> str:
    """The call as it would be typed."""
    defaults = {"seed": 0, "settings": None, "folds": None, "plumbing": False}
    given = {"seed": seed, "settings": settings, "folds": folds, "plumbing": plumbing}
    said = {k: v for k, v in given.items() if v != defaults[k]} | plugins
    arguments = [f"out={str(out)!r}", *(f"{k}={v!r}" for k, v in said.items())]
    return f"giblet.fit({', '.join([study.name, *arguments])})"
