"""`giblet listen`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from giblet.cli.flags import run_argument


@click.command(context_settings={"show_default": True})
@run_argument
@click.option(
    "--task",
    type=click.Choice(["abx", "match"]),
    default="abx",
    help="abx: which of two versions is X? match: which of two moments of the original is X made from?",
)
@click.option("--sound", metavar="NAME", default=None, help="What is judged; default roundtrip, for match measured.")
@click.option("--against", metavar="NAME", default="original", help="What it is judged against.")
@click.option("--trials", type=click.IntRange(min=1, max=200), default=16, help="How many.")
@click.option("--clip", "clip_s", metavar="SECONDS", default="4", help="Length of a clip.")
@click.option("--seed", default=0, help="Seed of the order.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="The page; default RUN/listen.html.")
def command(run: Path, **options: Any) -> None:
    """Make a page that plays the sounds of a finished RUN blind, and counts what a listener gets right.

    Names are those of the files in RUN/reconstructions/audio. The page is one file that needs no network; it keeps the
    answers, saves them, and says how likely so many right ones are by guessing.
    """
    from giblet.api.run import Run

    click.echo(Run(run).write_listening(**options))
