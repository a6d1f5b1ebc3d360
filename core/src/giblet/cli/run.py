"""`giblet run`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.costs import dry_run_option, show_cost
from giblet.cli.figures import print_streams, print_summary
from giblet.cli.flags import (
    command_line,
    json_option,
    kind_options,
    plugins_of,
    print_json,
    quiet_option,
    settings_of,
    settings_option,
)
from giblet.cli.study_flags import study_of, study_options

if TYPE_CHECKING:
    from giblet.api.request import Request
    from giblet.data.study import Study


@click.command(context_settings={"show_default": True})
@study_options
@kind_options
@settings_option("A setting, e.g. -o text.context_s=10.")
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
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Throw away the run that --out holds, when the new one begins.")
@json_option("metrics.json (after --extract-only: inputs.json; with --dry-run: the costs)")
@quiet_option
def command(
    study: Path | None,
    overrides: Sequence[str],
    out: Path,
    seed: int,
    plumbing: bool,
    folds: int | None,
    quiet: bool,
    **flags: Any,
) -> None:
    """Do everything: extract, train, evaluate, reconstruct, report.

    STUDY is a study.toml or its folder. Without a study or files, a demo study is made and used. The same command again
    goes on where it stopped.
    """
    from giblet.api.request import Request, demo_settings

    plugins: dict[str, Any] = plugins_of(flags)
    settings = settings_of(overrides)
    choices: dict[str, Any] = {"seed": seed, "plumbing": plumbing, "folds": folds}
    request = Request.of(plugins, settings, **choices)  # refused before anything is read or made
    found = study_of(study, flags)
    if found is None:
        _check_demo(request, out, flags)
    if found is None or found.truth is not None:  # a demo study, made now or before
        settings = demo_settings(plugins, settings)
    if flags["dry_run"]:
        costed = found or _demo(out, seed, flags, quiet)
        show_cost(costed, flags["as_json"], settings=settings, quiet=quiet, **choices, **plugins)
        return
    with _room(out, found, request, overwrite=flags["overwrite"]):
        found = found or _demo(out, seed, flags, quiet)
        if flags["extract_only"]:
            _extract(found, out, plugins, flags["as_json"], settings=settings, seed=seed, quiet=quiet)
        else:
            _fit(found, out, plugins, flags["as_json"], settings=settings, quiet=quiet, **choices)


def _room(out: Path, study: Study | None, request: Request, *, overwrite: bool) -> AbstractContextManager[None]:
    from giblet.pipeline.overwriting import making_room

    return making_room(out, study, request.settings) if overwrite else nullcontext()


def _extract(study: Study, out: Path, plugins: dict[str, Any], as_json: bool, **more: Any) -> None:
    from giblet.api.fitting import extract

    extracted = extract(study, **more, **plugins)
    extracted.save(out)
    print_json(extracted.inputs.described) if as_json else print_streams(extracted.streams)


def _fit(study: Study, out: Path, plugins: dict[str, Any], as_json: bool, **more: Any) -> None:
    from giblet.api.fitting import fit

    done = fit(study, out, command=command_line(), **more, **plugins)
    if as_json:
        print_json(done.metrics)
        return
    print_summary(done.metrics)
    click.echo(done.report)


def _check_demo(request: Request, out: Path, flags: dict[str, Any]) -> None:
    """Refuse what cannot be done with the demo study, which takes half a minute to make."""
    from giblet.api.studies import demo_plan

    request.check(
        demo_plan(out / "demo", tr_s=flags["tr_s"], exclude=flags["exclude"]), brain=not flags["extract_only"]
    )


def _demo(out: Path, seed: int, flags: dict[str, Any], quiet: bool) -> Study:
    from giblet.api.studies import demo_study, load_study

    click.echo("no study given: using the demo study, a made-up world of known truth", err=True)
    made = demo_study(out / "demo", seed=seed, quiet=quiet)
    return load_study(made.folder, tr_s=flags["tr_s"], exclude=flags["exclude"])
