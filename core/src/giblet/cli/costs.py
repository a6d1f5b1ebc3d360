"""`--dry-run`: what training would cost, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.flags import print_json

if TYPE_CHECKING:
    from giblet.data.study import Study
    from giblet.pipeline.cost import Costs, StageCost

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Extract, print what memory and time training would take, and train nothing."
)
HEADS = ("stage", "steps", "trained", "weights", "copies", "gradients", "optimiser", "passing", "in all", "GFLOP/step")
WIDTHS = (18, 7, 9, 10, 10, 11, 11, 10, 10, 12)


def show_cost(study: Study, as_json: bool, **choices: Any) -> None:
    """Print the costs of training on a study; `choices` are those of `fit`."""
    from giblet.api.costing import training_cost

    costs = training_cost(study, **choices)
    print_json(costs.as_dict()) if as_json else _print(costs)


def _print(costs: Costs) -> None:
    _row(HEADS)
    for s in costs.stages:
        sizes = (s.weights, s.copies, s.gradients, s.optimizer, s.passing, s.peak)
        _row((s.stage, s.steps, f"{s.parameters / 1e6:.2f} M", *map(_size, sizes), f"{s.flops / 1e9:.1f}"))
    before = "not known on this system" if costs.process is None else _size(costs.process)
    click.echo(f"Python and libraries {before}, codes {_size(costs.tables)}")
    click.echo(
        f"at its peak {_size(costs.peak)} of memory; {_size(costs.mapped)} of scans and features stay on the disk"
    )
    click.echo(
        f"at least {_time(sum(map(costs.seconds, costs.stages)))}: {', '.join(_told(costs, s) for s in costs.stages)}"
    )


def _row(cells: Sequence[object]) -> None:
    click.echo(
        "".join(f"{c!s:<{w}}" if k == 0 else f"{c!s:>{w}}" for k, (c, w) in enumerate(zip(cells, WIDTHS, strict=True)))
    )


def _told(costs: Costs, s: StageCost) -> str:
    return f"{s.stage} {_time(costs.seconds(s))}"


def _size(n: int) -> str:
    return f"{n / 1e9:.2f} GB" if n >= 1e9 else f"{n / 1e6:.0f} MB"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
