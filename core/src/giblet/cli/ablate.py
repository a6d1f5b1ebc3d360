"""`giblet ablate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.api.choice import TABLES
from giblet.cli.figures import row
from giblet.cli.flags import (
    command_line,
    json_option,
    kind_options,
    plugins_of,
    print_file,
    quiet_option,
    settings_of,
    settings_option,
)
from giblet.errors import ConfigError
from giblet.types import TEMPORAL_MODULES

if TYPE_CHECKING:
    from giblet.data.study import Study

DEMO = "demo"
MEGA = 1e6
SIZES = (
    ("front-end parameters (M)", "parameters", 2),
    ("trunk parameters (M)", "trunk_parameters", 2),
    ("memory of a step (MB)", "memory_bytes", 0),
)


@click.command(context_settings={"show_default": True})
@click.argument("study", required=False)
@click.option("--study", "named", default=None, help="The same as STUDY.")
@click.option("--seeds", default=3, type=click.IntRange(1), help="Trainings a variant, with seeds 0, 1, ...")
@click.option(
    "--modules",
    metavar="NAME,...",
    default=None,
    help=f"Temporal modules to compare; without --vary: {','.join(TEMPORAL_MODULES)}.",
)
@click.option(
    "--vary",
    metavar="SECTION.KEY=VALUE,...",
    multiple=True,
    help="A setting to compare, e.g. --vary train.brain_grad=0,1; several (and --modules) make a grid.",
)
@kind_options
@settings_option("A setting of every run.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/ablate"), help="The folder.")
@json_option("ablate.json")
@quiet_option
def command(
    study: str | None,
    named: str | None,
    seeds: int,
    modules: str | None,
    vary: Sequence[str],
    overrides: Sequence[str],
    out: Path,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a study under several settings and seeds, and compare scores and cost.

    STUDY is a study.toml or its folder, or `demo` (the default), which makes the demo study. What varies is the
    temporal module of every plugin that has one, or any setting. The same command again goes on where it stopped.
    """
    from giblet.api.ablation import ablate, variants_of
    from giblet.api.request import Request, demo_settings

    if study and named:
        raise ConfigError(f"STUDY ({study}) and --study ({named}) say the same thing twice; give one")
    plugins: dict[str, Any] = plugins_of(flags)
    settings, name = settings_of(overrides), study or named or DEMO
    chosen: dict[str, Any] = {
        "modules": None if modules is None else modules.split(","),
        "vary": _vary(vary, [*plugins, TABLES]),
    }
    variants_of(Request.of(plugins, settings), **chosen)  # refused before anything is made
    if name == DEMO:
        settings = {k: v for k, v in demo_settings(plugins, settings).items() if k not in chosen["vary"]}
    call: dict[str, Any] = {"seeds": seeds, "settings": settings, "quiet": quiet, "command": command_line()}
    made = ablate(_study(name, out, quiet), out, **chosen, **call, **plugins)
    if as_json:
        print_file(out / "ablate.json")
        return
    _print(made.result)
    click.echo(made.picture)


def _vary(texts: Sequence[str], kinds: Sequence[str]) -> dict[str, Sequence[Any]]:
    """The values of each setting that varies."""
    from giblet.pipeline.variants import parse_axis

    axes = [parse_axis(text, kinds) for text in texts]
    twice = {a.name for a in axes if [b.name for b in axes].count(a.name) > 1}
    if twice:
        raise ConfigError(f"{', '.join(sorted(twice))} varies twice; put all its values behind one --vary")
    return {axis.name: axis.values for axis in axes}


def _study(name: str, out: Path, quiet: bool) -> Study:
    from giblet.api.studies import demo_study, load_study

    return demo_study(out / DEMO, quiet=quiet) if name == DEMO else load_study(name)


def _print(result: dict[str, Any]) -> None:
    """A column a variant: cost, then each score as mean and SD, with its range below."""
    rows = result["variants"]
    ratio = f"step / {result['reference']}"
    widths = (max(26, len(ratio) + 2), *(max(17, len(r["name"]) + 3) for r in rows))
    costs = [r["cost"] for r in rows]
    seeds = f"{len(result['seeds'])} seeds: mean +- SD"
    click.echo(row((seeds, *(r["name"] for r in rows)), widths))
    for title, key, digits in SIZES:
        click.echo(row((title, *(f"{c[key] / MEGA:.{digits}f}" for c in costs)), widths))
    ratios = ["-" if c["ratio"] is None else f"{c['ratio']:.2f}" for c in costs]
    click.echo(row((ratio, *ratios), widths))
    click.echo(row(("  quartiles", *(_range(c["quartiles"], 2) for c in costs)), widths))
    for name in rows[0]["scores"]:
        spreads = [r["scores"][name] for r in rows]
        click.echo(row((name, *map(_mean, spreads)), widths))
        click.echo(row(("  range", *(_range((s["low"], s["high"])) for s in spreads)), widths))


def _mean(spread: dict[str, float | None]) -> str:
    if spread["mean"] is None:
        return "-"
    return f"{spread['mean']:.3f}" + ("" if spread["sd"] is None else f" +- {spread['sd']:.3f}")


def _range(ends: Sequence[float | None] | None, digits: int = 3) -> str:
    return "-" if ends is None or None in ends else " to ".join(f"{end:.{digits}f}" for end in ends)
