"""`giblet extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
from giblet.errors import ConfigError, DataError, GibletError

if TYPE_CHECKING:
    from giblet.data.study import Study
    from giblet.pipeline.many import ExtractedItem

MB = 1e6


@click.command(context_settings={"show_default": True})
@click.argument("study", nargs=-1, type=click.Path(path_type=Path))
@file_options
@kind_options
@settings_option("A setting of the runs to come, e.g. -o video.width_px=320.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Processes; the processors are shared among them.")
@click.option("--backend", type=click.Choice(["loky", "dask"]), default="loky", help="This machine, or a dask cluster.")
@click.option("--scheduler", metavar="ADDRESS", default=None, help="Of --backend dask, e.g. tcp://node1:8786.")
@json_option("a row a file and modality")
@quiet_option
def command(
    study: Sequence[Path],
    overrides: Sequence[str],
    jobs: int,
    backend: str,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Extract the films of many studies, in several processes or on a cluster, before the runs that need them.

    STUDY is a study.toml or its folder. What is extracted lies in the cache, where `giblet run` finds it. What is there
    is not done again, so the same command goes on after a stop; what cannot be read is named at the end.
    """
    from giblet.api.extracting import extract_asked
    from giblet.api.fitting import tell
    from giblet.api.request import Request, demo_settings

    if (backend == "dask") != (scheduler is not None):
        raise ConfigError("--backend dask and --scheduler ADDRESS need each other; give both, or neither")
    plugins, settings = plugins_of(flags), settings_of(overrides)
    Request.of(plugins, settings)  # refused before any study is read
    studies = _studies(study, flags)
    own = [settings if s.truth is None else demo_settings(plugins, settings) for s in studies]
    asked = [(s, Request.of(plugins, o)) for s, o in zip(studies, own, strict=True)]
    done = extract_asked(asked, jobs=jobs, scheduler=scheduler, quiet=quiet)
    tell([f"{item.name}: {note}" for item in done for note in item.notes])
    print_json([asdict(item) for item in done]) if as_json else _print(done)
    _complain([item for item in done if item.error is not None], len(done))


def _studies(paths: Sequence[Path], flags: dict[str, Any]) -> list[Study]:
    found = [study_of(path, flags) for path in paths] or [study_of(None, flags)]
    studies = [s for s in found if s is not None]
    if not studies:
        raise ConfigError("there is nothing to extract; name a study.toml, or give --film and --annotations")
    return studies


def _print(done: Sequence[ExtractedItem]) -> None:
    """A row an item, those of a file together."""
    whole = [item for item in done if item.error is None]
    for item in sorted(whole, key=lambda i: (i.study, str(i.file), i.modality)):
        how = "cached" if item.cached else f"{item.seconds:.1f} s"
        click.echo(row((item.modality, how, f"{item.n_bytes / MB:.1f} MB", f"  {item.file}"), (16, 10, 12, 0)))
    seconds = sum(item.seconds for item in whole if not item.cached)
    size = sum(item.n_bytes for item in whole) / MB
    cached = sum(item.cached for item in whole)
    click.echo(f"{len(whole) - cached} extracted in {seconds:.1f} s of work, {cached} were there; {size:.1f} MB")


def _complain(failed: Sequence[ExtractedItem], n: int) -> None:
    """Name what failed, a line each, and end with the exit code that tells whether another try may help."""
    for item in failed:
        click.echo(f"giblet: {item.name}: {item.error}", err=True)
    if failed:
        kind = DataError if all(item.exit_code == DataError.exit_code for item in failed) else GibletError
        raise kind(f"{len(failed)} of {n} failed; the others are done, and the same command tries these again")
