"""`giblet report`."""

from __future__ import annotations

from pathlib import Path

import click

from giblet.cli.flags import run_argument


@click.command()
@run_argument
def command(run: Path) -> None:
    """Write the page of a finished RUN folder again."""
    from giblet.api.run import Run

    click.echo(Run(run).write_report())
