"""`giblet predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from giblet.cli.flags import json_option, print_file, quiet_option, run_argument, tables_of


@click.command(context_settings={"show_default": True})
@run_argument
@click.argument("film", required=False, type=click.Path(path_type=Path))
@click.option("--annotations", default=None, help="Table, subtitles or TextGrid of the film, or `embedded`.")
@click.option("--features", metavar="NAME=FILE", multiple=True, help="Ready-made features that the run had too.")
@click.option("--offset", "offset_s", metavar="SECONDS", default="0", help="Film time at which volume 0 begins.")
@click.option("--trs", type=click.IntRange(min=1), default=None, help="How many TRs; default all of the film.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/predicted"), help="Folder of the scans.")
@json_option("prediction.json")
@quiet_option
def command(
    run: Path,
    film: Path | None,
    annotations: str | None,
    features: Sequence[str],
    offset_s: str,
    trs: int | None,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Predict everybody's scan of a FILM (or of annotations or features alone) that a finished RUN has never seen.

    Writes a scan for each subject of the run, and `average`, their mean. What the film lacks (sound, annotations) is
    left out, and said.
    """
    from giblet.api.run import open_run
    from giblet.pipeline.predict import MARKER
    from giblet.pipeline.results import require_own

    opened, tables = open_run(run), tables_of(features)
    require_own(out, MARKER)
    made = opened.predict(film, annotations=annotations, features=tables, offset_s=offset_s, trs=trs, quiet=quiet)
    told = made.save(out, quiet=quiet)
    for note in [*made.notes, *(f"{reason}; it was left out" for reason in made.missing.values())]:
        click.echo(f"note: {note}", err=True)
    if as_json:
        print_file(out / MARKER)
        return
    used = [name for name, found in told["modalities"].items() if found["covered_trs"]]
    click.echo(f"{told['n_trs']} TRs of {told['tr_s']:g} s from {', '.join(used)}")
    for name in told["files"].values():
        click.echo(out / name)
