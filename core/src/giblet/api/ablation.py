"""`giblet.ablate`: the same study under several settings and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from giblet.api.choice import TABLES
from giblet.api.extracted import html_table
from giblet.api.progress import progress_bars
from giblet.api.request import Request, Settings, require_scans
from giblet.api.studies import FilePath, as_study, names_of
from giblet.config import nested
from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.types import TEMPORAL_MODULES

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class Ablated:
    """What an ablation found: scores over seeds and costs of every variant."""

    result: dict[str, Any]
    picture: Path

    @property
    def table(self) -> DataFrame:
        """Mean score over seeds, a row a variant and a column a score."""
        from pandas import DataFrame

        rows = {r["name"]: {k: s["mean"] for k, s in r["scores"].items()} for r in self.result["variants"]}
        return DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        names = ", ".join(r["name"] for r in self.result["variants"])
        return f"<Ablated {self.result['study']}: {names}; {len(self.result['seeds'])} seeds>"

    def _repr_html_(self) -> str:
        table = self.table
        return html_table(
            ("", *table.columns), [[name, *row] for name, row in zip(table.index, table.values, strict=True)]
        )


def ablate(
    study: Study | FilePath,
    out: FilePath = "out/ablate",
    *,
    seeds: int = 3,
    modules: str | Sequence[str] | None = None,
    vary: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    quiet: bool = False,
    command: str = "giblet.ablate(...)",
    **plugins: str | None,
) -> Ablated:
    """Train a study under several settings and seeds, and compare scores and cost; what is done is not done again.

    Parameters
    ----------
    study
        A study, or the path of a study.toml.
    out
        The folder of trainings, `ablate.json` and `ablate.png`.
    seeds
        Trainings a variant, with seeds 0, 1, ...
    modules
        Temporal modules to compare; without `vary`, all of them.
    vary
        Settings to compare, for example `{"train.brain_grad": [0, 1]}`; several make a grid. A text is one value.
    settings
        Settings of every training.
    quiet
        Show no progress.
    command
        How the result says it was made.
    **plugins
        The plugin of each kind, for example `audio="encodec"`, or "none".

    Raises
    ------
    GibletError
        If a name or value cannot be meant, or anything that a training needs cannot be had; what is done stays.
    """
    from giblet.api.fitting import tell
    from giblet.pipeline.ablate import Ablation
    from giblet.pipeline.ablate import ablate as run_all
    from giblet.report.ablation import draw_ablation

    if seeds < 1:
        raise ConfigError(f"seeds = {seeds} trains nothing; give at least 1")
    request = Request.of(plugins, settings)
    variants = variants_of(request, modules, vary)
    given, place = as_study(study), Path(out)
    found, config = request.of_study(given)
    tell(found.notes[len(given.notes) :])
    ablation = Ablation(found, config.modalities, request.settings, variants, range(seeds), place)
    with progress_bars(quiet=quiet) as progress:
        progress("check scans", 0, 1)
        require_scans(found)
        progress("check scans", 1, 1)
        result = run_all(ablation, command, progress)
    return Ablated(result, draw_ablation(result, place / "ablate.png"))


def variants_of(
    request: Request, modules: str | Sequence[str] | None, vary: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Every combination of what varies: temporal modules where they are asked for, or nothing else is.

    Raises
    ------
    ConfigError, PluginError
        If a module or a setting does not exist, a value is not possible, two come to the same settings, or what varies
        is also set.
    """
    from giblet.pipeline.variants import axis_of, configs_of, grid_of, temporal_axis
    from giblet.plugins import Registry

    given = dict(vary or {})
    nested(given, [*request.plugins, TABLES])  # says which section does not exist
    axes = [axis_of(name, _values(several)) for name, several in given.items()]
    names = TEMPORAL_MODULES if modules is None and not axes else names_of(modules or ())
    variants = grid_of([temporal_axis(names), *axes] if names else axes)
    configs_of(request.plugins, request.settings, variants, 0, Registry.discover())
    return variants


def _values(several: Any) -> tuple[Any, ...]:
    """The values of a setting; a text, a mapping or a number is one."""
    return tuple(several) if isinstance(several, Iterable) and not isinstance(several, str | Mapping) else (several,)
