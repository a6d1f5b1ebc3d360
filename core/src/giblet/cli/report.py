"""`giblet report`."""

from __future__ import annotations

from pathlib import Path

import click

from giblet.errors import ConfigError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Write the page of a finished RUN folder again."""
    from giblet.report import write_report

    if not (run / "metrics.json").is_file():
        raise ConfigError(f"{run} holds no finished run (no metrics.json); give the --out of a `giblet run`")
    click.echo(write_report(run))
