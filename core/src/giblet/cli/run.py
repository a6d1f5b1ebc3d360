"""`giblet run`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.figures import print_streams, print_summary
from giblet.cli.flags import name_and_file
from giblet.cli.progress import progress_bars
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.config import RunConfig
    from giblet.data.study import Study
    from giblet.plugins import Registry
    from giblet.types import Progress

DEFAULTS = {"video": "s3d", "audio": "mel", "text": "bge", "fmri": "mask"}
DEMO_TEXT = "minilm"
TABLES = "features"


def kinds() -> dict[str, list[str]]:
    """Every kind that an installed plugin provides, with the names to choose from; nothing is imported."""
    from importlib.metadata import entry_points

    from giblet.plugins import can_be_kind

    found: dict[str, list[str]] = {}
    for point in sorted(entry_points(group="giblet"), key=lambda p: p.name):
        kind, _, name = point.name.partition("_")
        if kind != TABLES and name and can_be_kind(kind):  # `--features NAME=FILE` gives tables their files
            found.setdefault(kind, []).append(name)
    return found


def kind_options(function: Callable[..., None]) -> Callable[..., None]:
    """One option a kind: `--video s3d`, `--audio none`."""
    for kind, names in reversed(kinds().items()):
        default = DEFAULTS.get(kind)
        text = f"{', '.join(names)} or none; default {default or 'none'}."
        function = click.option(f"--{kind}", metavar="NAME", default=None, help=text)(function)
    return function


@click.command(context_settings={"show_default": True})
@click.argument("study", required=False, type=click.Path(path_type=Path))
@click.option("--film", multiple=True, help="Film or sound file, or a glob; several for several runs.")
@click.option("--annotations", multiple=True, help="Table, subtitles or TextGrid of each film, or `embedded`.")
@click.option("--bold", multiple=True, help="Scans: NIfTI or tables of parcels [time, parcels]; globs in quotes.")
@click.option("--tr", "tr_s", metavar="SECONDS", default=None, help="The TR; overrules every header.")
@click.option(
    "--offset", "offset_s", metavar="SECONDS", multiple=True, help="Stimulus time at which volume 0 begins; default 0."
)
@click.option("--features", metavar="NAME=FILE", multiple=True, help="Ready-made features, a table [time, columns].")
@click.option("--exclude", metavar="SUBJECT", multiple=True, help="Leave a subject (or SUBJECT/RUN) out.")
@kind_options
@click.option(
    "-o", "--set", "overrides", metavar="SECTION.KEY=VALUE", multiple=True, help="A setting, e.g. -o text.context_s=10."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/run"), help="The run's folder.")
@click.option("--seed", default=0, help="Seed of everything that is drawn.")
@click.option("--extract-only", is_flag=True, help="Stop after the features; needs no scans.")
@click.option(
    "--plumbing", is_flag=True, help="Train and score on the same TRs, labelled so; for data too short to split."
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=None,
    help="Train as often, each time testing on another part, until all is tested.",
)
@click.option("--overwrite", is_flag=True, help="Throw away what --out holds of another run.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(study: Path | None, overrides: Sequence[str], out: Path, seed: int, quiet: bool, **flags: Any) -> None:
    """Do everything: extract, train, evaluate, reconstruct, report.

    STUDY is a study.toml or its folder. Without a study or files, a demo study is made and used. The same command again
    goes on where it stopped.
    """
    from giblet.config import build_config, parse_overrides
    from giblet.plugins import Registry

    registry = Registry.discover()
    chosen = chosen_plugins(flags)
    settings = parse_overrides(overrides, [*chosen, TABLES])
    if flags["folds"] is not None:
        settings.setdefault("split", {})["folds"] = flags["folds"]
    for kind, name in chosen.items():  # a misspelt name or setting is said before anything is made
        if name != "none":
            registry.modality(name, **settings.get(kind, {}))
    build_config(chosen, settings, seed=seed, plumbing=flags["plumbing"])
    with progress_bars(quiet=quiet) as progress:
        if flags["overwrite"] and (out / "run.json").exists():
            shutil.rmtree(out)
        found, is_demo = _study(study, flags, out, seed, progress)
        if is_demo and chosen.get("text") == "text_bge":
            settings.setdefault("text", {}).setdefault("weights", DEMO_TEXT)
        modalities = plugins_with_files(chosen, found, flags)
        config = build_config(modalities, settings, seed=seed, plumbing=flags["plumbing"])
        registry.load_wrappers()
        _run(found, config, registry, out, flags["extract_only"], progress)


def chosen_plugins(flags: dict[str, Any]) -> dict[str, str]:
    """Kind -> plugin for every kind; short names are completed with their kind."""
    chosen = {}
    for kind, installed in kinds().items():
        default = DEFAULTS.get(kind)
        name = flags[kind] or (default if default in installed else "none")
        chosen[kind] = name if name == "none" or name.startswith(f"{kind}_") else f"{kind}_{name}"
    return chosen


def plugins_with_files(chosen: dict[str, str], study: Study, flags: dict[str, Any]) -> dict[str, str]:
    """Leave out what no stimulus has and nobody asked for; what was asked for must be there."""
    there = {kind for s in study.stimuli for kind in s.files} | {"fmri"}
    dropped = {k for k, n in chosen.items() if n != "none" and k not in there and flags[k] is None}
    return {k: ("none" if k in dropped else n) for k, n in chosen.items()}


def _study(path: Path | None, flags: dict[str, Any], out: Path, seed: int, progress: Progress) -> tuple[Study, bool]:
    from giblet.data.study import load_study, study_from_flags
    from giblet.types import seconds

    tr_s = None if flags["tr_s"] is None else seconds(flags["tr_s"])
    files = [f for f in ("film", "annotations", "bold", "features") if flags[f]]
    if path is not None:
        if files:
            raise ConfigError(f"--{files[0]} and a study file say the same thing twice; put it into {path}")
        return load_study(path, tr_s, flags["exclude"]), False
    if files:
        pairs = [name_and_file(f) for f in flags["features"]]
        offsets = [seconds(o) for o in flags["offset_s"]]
        films = [Path(f) for f in flags["film"]]
        needs = not flags["extract_only"]
        found = study_from_flags(
            films, flags["annotations"], flags["bold"], tr_s, offsets, pairs, flags["exclude"], needs
        )
        return found, False
    from giblet.data.demo import make_demo

    toml = out / "demo" / "study.toml"
    click.echo("no study given: using the demo study, a made-up world of known truth", err=True)
    if not toml.exists():
        make_demo(out / "demo", seed, progress=lambda what: progress(f"demo: {what}", 1, 1))
    return load_study(toml, tr_s, flags["exclude"]), True


def _run(
    study: Study, config: RunConfig, registry: Registry, out: Path, extract_only: bool, progress: Progress
) -> None:
    from giblet.data.bold import require_sound
    from giblet.pipeline import extract_study

    if not extract_only:
        require_sound(study.scans)
    command_line = " ".join(["giblet", *sys.argv[1:]])
    if config.split.folds > 1 and config.split.fold is None and not extract_only:
        from giblet.pipeline.folds import run_folds

        print_summary(run_folds(study, config, registry, out, command_line, progress, _note))
        click.echo(out / "report.html")
        return
    inputs = extract_study(study, config, registry, progress, brain=not extract_only)
    for note in inputs.described["notes"]:
        _note(note)
    from giblet.pipeline.run import open_run, run_study

    folder = open_run(out, study, config, inputs)
    if extract_only:
        print_streams(inputs.described["streams"])
        return
    metrics = run_study(study, config, inputs, folder, command_line, progress)
    print_summary(metrics)
    click.echo(out / "report.html")


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)
