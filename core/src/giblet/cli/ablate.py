"""`giblet ablate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.figures import row
from giblet.cli.progress import progress_bars
from giblet.cli.run import DEMO_TEXT, TABLES, chosen_plugins, kind_options, plugins_with_files
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.data.study import Study
    from giblet.pipeline.variants import Axis
    from giblet.types import Progress

DEMO = "demo"
MODULES = "own,mean,multiscale,hierarchical,multiscale+hierarchical"
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
    help=f"Temporal modules to compare; without --vary: {MODULES}.",
)
@click.option(
    "--vary",
    metavar="SECTION.KEY=VALUE,...",
    multiple=True,
    help="A setting to compare, e.g. --vary train.brain_grad=0,1; several (and --modules) make a grid.",
)
@kind_options
@click.option("-o", "--set", "overrides", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting of every run.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/ablate"), help="The folder.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    study: str | None,
    named: str | None,
    seeds: int,
    modules: str | None,
    vary: Sequence[str],
    overrides: Sequence[str],
    out: Path,
    quiet: bool,
    **flags: Any,
) -> None:
    """Train a study under several settings and seeds, and compare scores and cost.

    STUDY is a study.toml or its folder, or `demo` (the default), which makes the demo study. What varies is the
    temporal module of every plugin that has one, or any setting. The same command again goes on where it stopped.
    """
    from giblet.config import parse_overrides
    from giblet.pipeline.ablate import Ablation, ablate
    from giblet.pipeline.variants import grid_of
    from giblet.report.ablation import draw_ablation

    if study and named:
        raise ConfigError(f"STUDY ({study}) and --study ({named}) say the same thing twice; give one")
    chosen = chosen_plugins(flags)
    settings = parse_overrides(overrides, [*chosen, TABLES])
    variants = grid_of(_axes(modules, vary, [*chosen, TABLES]))
    _check(chosen, settings, variants)
    with progress_bars(quiet=quiet) as progress:
        found = _study(study or named or DEMO, out, progress)
        if (study or named or DEMO) == DEMO and chosen.get("text") == "text_bge":
            settings.setdefault("text", {}).setdefault("weights", DEMO_TEXT)
        plugins = plugins_with_files(chosen, found, flags)
        ablation = Ablation(found, plugins, settings, variants, range(seeds), out)
        result = ablate(ablation, " ".join(["giblet", *sys.argv[1:]]), progress)
    _print(result)
    click.echo(draw_ablation(result, out / "ablate.png"))


def _axes(modules: str | None, vary: Sequence[str], kinds: Sequence[str]) -> list[Axis]:
    """What varies: the temporal modules where they are asked for, or nothing else is."""
    from giblet.pipeline.variants import parse_axis, temporal_axis

    axes = [parse_axis(text, kinds) for text in vary]
    names = modules.split(",") if modules is not None else [] if axes else MODULES.split(",")
    axes = [temporal_axis(names), *axes] if names else axes
    twice = {a.name for a in axes if [b.name for b in axes].count(a.name) > 1}
    if twice:
        raise ConfigError(f"{', '.join(sorted(twice))} varies twice; put all its values behind one --vary")
    return axes


def _check(chosen: dict[str, str], settings: dict[str, dict[str, Any]], variants: Sequence[dict[str, Any]]) -> None:
    """Say what cannot be before anything is made."""
    from giblet.pipeline.variants import cell_config
    from giblet.plugins import Registry

    registry = Registry.discover()
    for variant in variants:
        cell_config(chosen, settings, variant, 0, registry)


def _study(name: str, out: Path, progress: Progress) -> Study:
    from giblet.data.bold import require_sound
    from giblet.data.demo import make_demo
    from giblet.data.study import load_study

    toml = out / DEMO / "study.toml" if name == DEMO else Path(name)
    if name == DEMO and not toml.exists():
        make_demo(out / DEMO, 0, progress=lambda what: progress(f"demo: {what}", 1, 1))
    study = load_study(toml)
    require_sound(study.scans)
    return study


def _print(result: dict[str, Any]) -> None:
    """A column a variant: cost, then each score as mean and SD, with its range below."""
    rows = result["variants"]
    widths = (26, *(max(17, len(r["name"]) + 3) for r in rows))
    costs = [r["cost"] for r in rows]
    seeds = f"{len(result['seeds'])} seeds: mean +- SD"
    click.echo(row((seeds, *(r["name"] for r in rows)), widths))
    for title, key, digits in SIZES:
        click.echo(row((title, *(f"{c[key] / MEGA:.{digits}f}" for c in costs)), widths))
    ratios = ["-" if c["ratio"] is None else f"{c['ratio']:.2f}" for c in costs]
    click.echo(row((f"step / {result['reference']}"[:25], *ratios), widths))
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
