"""What training on a study would cost: memory, arithmetic and time, with nothing trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from giblet.api.fitting import tell
from giblet.api.progress import progress_bars
from giblet.api.request import Request, Settings, registry_of_run, require_scans
from giblet.api.studies import FilePath, as_study

if TYPE_CHECKING:
    from giblet.data.study import Study
    from giblet.pipeline.cost import Costs


def training_cost(
    study: Study | FilePath,
    *,
    seed: int = 0,
    settings: Settings | None = None,
    folds: int | None = None,
    plumbing: bool = False,
    quiet: bool = False,
    **plugins: str | None,
) -> Costs:
    """Extract, which tells all sizes, and say what training would hold in memory and compute. Features are kept.

    Parameters
    ----------
    study
        A study, or the path of a study.toml.
    seed, settings, folds, plumbing, **plugins
        As of `fit`; of several folds the first is counted.
    quiet
        Show no progress.

    Raises
    ------
    GibletError
        If anything asked for does not exist, or the study cannot be split.
    """
    request, given = Request.of(plugins, settings, seed=seed, plumbing=plumbing, folds=folds), as_study(study)
    with progress_bars(quiet=quiet) as progress:
        progress("check scans", 0, 1)
        require_scans(given)
        progress("check scans", 1, 1)
        found, config = request.of_study(given)
        from giblet.pipeline.cost import training_costs
        from giblet.pipeline.prepare import extract_study
        from giblet.pipeline.splits import first_fold

        inputs = extract_study(found, first_fold(config), registry_of_run(), progress)
        progress("count", 0, 1)
        costs = training_costs(inputs, config)
        progress("count", 1, 1)
    tell(inputs.described["notes"])
    if config.split.all_folds:
        tell([f"each of the {config.split.folds} folds is a training of its own; these are the costs of the first"])
    return costs
