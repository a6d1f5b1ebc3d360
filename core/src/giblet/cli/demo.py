"""`giblet demo`."""

from __future__ import annotations

from pathlib import Path

import click

from giblet.cli.progress import progress_bars


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="The world's seed; the same seed makes the same files.")
@click.option("--null", is_flag=True, help="Phase-randomised scans: nothing can be predicted.")
@click.option("--shifted", "shifted_s", default=0.0, metavar="SECONDS", help="Scans that come this much too late.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(folder: Path, seed: int, null: bool, shifted_s: float, quiet: bool) -> None:
    """Write a small study of known truth into FOLDER: two films, annotations, six people's scans, an atlas."""
    from giblet.data.demo import make_demo

    with progress_bars(quiet=quiet) as progress:
        made = make_demo(
            folder, seed, null=null, shifted_s=shifted_s, progress=lambda what: progress(f"demo: {what}", 1, 1)
        )
    click.echo(made)
