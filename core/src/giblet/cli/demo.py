"""`giblet demo`."""

from __future__ import annotations

from pathlib import Path

import click

from giblet.cli.flags import quiet_option


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", default=0, help="The world's seed; the same seed makes the same files.")
@click.option("--null", is_flag=True, help="Phase-randomised scans: nothing can be predicted.")
@click.option("--shifted", "shifted_s", default=0.0, metavar="SECONDS", help="Scans that come this much too late.")
@click.option("--bids", is_flag=True, help="As a BIDS data set with fMRIPrep's derivatives, and motion in the scans.")
@click.option("--films", default=2, help="Films of 8 min: the second is tested on, too.")
@quiet_option
def command(folder: Path, seed: int, null: bool, shifted_s: float, bids: bool, films: int, quiet: bool) -> None:
    """Write a small study of known truth into FOLDER: films, annotations, six people's scans, an atlas."""
    from giblet.api.studies import demo_study

    made = demo_study(folder, seed=seed, null=null, shifted_s=shifted_s, bids=bids, films=films, quiet=quiet)
    click.echo(made.folder if bids else made.folder / "study.toml")
