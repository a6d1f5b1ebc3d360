"""`giblet.train`: a study to a trained model, by one process or by many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from giblet.api.fitting import tell
from giblet.api.progress import progress_bars
from giblet.api.request import Request, Settings, registry_of_run, require_scans
from giblet.api.run import Run, open_run
from giblet.api.studies import FilePath, as_study
from giblet.config import SplitConfig
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.config import RunConfig
    from giblet.data.study import Study
    from giblet.pipeline.folder import RunFolder
    from giblet.pipeline.prepare import Inputs
    from giblet.types import Progress

Prepared = tuple["RunConfig", "Inputs", "RunFolder"]


def train(
    study: Study | FilePath | Callable[[], Study],
    out: FilePath = "out/run",
    *,
    seed: int = 0,
    settings: Settings | None = None,
    plumbing: bool = False,
    quiet: bool = False,
    **plugins: str | None,
) -> Run:
    """Extract and train, and stop there; `fit` with the same arguments goes on with evaluation and report.

    Under `torchrun` every process makes this call. The first one reads films and scans, then all train together, and
    the first one alone writes. A signal (Ctrl-C, SIGTERM, SIGUSR1) is answered behind the step that it arrived in: a
    checkpoint is written, then KeyboardInterrupt raised. The same call goes on from there, with any number of
    processes.

    Parameters
    ----------
    study
        A study, the path of a study.toml, or what makes a study when the first process calls it.
    out
        The run's folder.
    seed
        Seed of everything that is drawn.
    settings
        Settings by name, for example `{"train.accumulate": 4, "train.precision": "bf16"}`.
    plumbing
        Train and validate on the same TRs, labelled so.
    quiet
        Show no progress.
    **plugins
        The plugin of each kind, for example `audio="encodec"`, or "none".

    Raises
    ------
    GibletError
        If anything asked for does not exist, the folder holds another run, the study cannot be split, training
        diverges, or a checkpoint cannot be written.
    KeyboardInterrupt
        If a signal stopped it; what was trained is kept.
    """
    from giblet.training.ranks import is_first, together

    request, place = Request.of(plugins, settings, seed=seed, plumbing=plumbing), Path(out)
    require_one_training(request)
    with progress_bars(quiet=quiet or not is_first()) as progress:

        def prepare() -> Prepared:
            return _prepare(as_study(study() if callable(study) else study), request, place, progress)

        device = request.settings.get("train", {}).get("device", "cpu")
        with together(prepare, device) as (config, inputs, folder):
            from giblet.pipeline.train import train as train_stages

            train_stages(inputs, config, folder, progress)
    return open_run(place)


def require_one_training(request: Request) -> None:
    """Refuse all folds at once.

    Raises
    ------
    ConfigError
        If they are asked for.
    """
    if SplitConfig(**request.settings.get("split", {})).all_folds:
        raise ConfigError("one call trains one model; say which fold with -o split.fold=K")


def _prepare(given: Study, request: Request, out: Path, progress: Progress) -> Prepared:
    from giblet.pipeline.prepare import extract_study
    from giblet.pipeline.run import open_run as begin_run
    from giblet.training.ranks import is_first, require_device

    progress("check scans", 0, 1)
    require_scans(given)
    progress("check scans", 1, 1)
    study, config = request.of_study(given)
    require_device(config.train.device)
    inputs = extract_study(study, config, registry_of_run(), progress)
    if is_first():
        tell(inputs.described["notes"])
    return config, inputs, begin_run(out, study, config, inputs, writes=is_first())
