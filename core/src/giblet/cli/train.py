"""`giblet train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.costs import dry_run_option, show_cost
from giblet.cli.figures import row
from giblet.cli.flags import (
    json_option,
    kind_options,
    plugins_of,
    print_json,
    quiet_option,
    settings_of,
    settings_option,
)
from giblet.cli.study_flags import file_options, study_of
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.data.study import Study

DEMO = "demo"


@click.command(context_settings={"show_default": True})
@click.argument("study", required=False)
@click.option("--study", "named", default=None, help="The same as STUDY.")
@file_options
@kind_options
@settings_option("A setting, e.g. -o train.trunk_steps=500.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/run"), help="The run's folder.")
@click.option("--seed", default=0, help="Seed of everything that is drawn.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default=None,
    help="Where the stages train; the same as -o train.device.",
)
@dry_run_option
@json_option("the last line of each stage's log (with --dry-run: the costs)")
@quiet_option
def command(
    study: str | None,
    named: str | None,
    overrides: Sequence[str],
    out: Path,
    seed: int,
    device: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a model, by this process or by all that `torchrun` starts, and stop before anything is scored.

    STUDY is a study.toml or its folder, or `demo`. `giblet run` with the same options and folder goes on from here. The
    same command again goes on where it stopped, with as many processes as it is then given.
    """
    from giblet.api.request import Request, demo_settings
    from giblet.api.training import require_one_training, train
    from giblet.training.ranks import is_first

    found = _given(study, named, flags)
    plugins: dict[str, Any] = plugins_of(flags)
    settings = settings_of(overrides) | ({} if device is None else {"train.device": device})
    if found is None or found.truth is not None:
        settings = demo_settings(plugins, settings)
    options: dict[str, Any] = {"seed": seed, "settings": settings, "quiet": quiet}
    if dry_run:
        require_one_training(Request.of(plugins, settings))
        show_cost(found or _demo(out, seed, flags, quiet), as_json, **options, **plugins)
        return
    run = train(found or (lambda: _demo(out, seed, flags, quiet)), out, **options, **plugins)
    if not is_first():
        return
    stages = list({r["stage"]: r for r in run.training}.values())
    print_json(stages) if as_json else _print(stages, out)


def _given(study: str | None, named: str | None, flags: dict[str, Any]) -> Study | None:
    """The study that is named by a file or by its files; None for the demo study."""
    if study and named:
        raise ConfigError(f"STUDY ({study}) and --study ({named}) say the same thing twice; give one")
    name = study or named
    found = study_of(Path(name) if name and name != DEMO else None, flags)
    if found is None and name != DEMO:
        raise ConfigError("no study to train on; give a study.toml, films and scans (--film, --bold), or `demo`")
    if found is not None and name == DEMO:
        raise ConfigError("the demo study has its own films and scans; leave out the files, or `demo`")
    return found


def _demo(out: Path, seed: int, flags: dict[str, Any], quiet: bool) -> Study:
    from giblet.api.studies import demo_study, load_study

    made = demo_study(out / DEMO, seed=seed, quiet=quiet)
    return load_study(made.folder, tr_s=flags["tr_s"], exclude=flags["exclude"])


def _print(stages: Sequence[dict[str, Any]], out: Path) -> None:
    """A line a stage: its last step, and its losses there."""
    widths = (22, 8, 12, 12, 10)
    click.echo(row(("stage", "steps", "train", "validation", "seconds"), widths))
    for r in stages:
        cells = (r["stage"], r["step"], r["train"], r["validation"], r["seconds"])
        click.echo(row(cells, widths))
    click.echo(f"{out / 'model'} is trained; `giblet run` with the same options scores it and writes its page")
