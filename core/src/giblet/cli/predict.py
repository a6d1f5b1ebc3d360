"""`giblet predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from giblet.cli.progress import progress_bars


@click.command(context_settings={"show_default": True})
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("film", required=False, type=click.Path(path_type=Path))
@click.option("--annotations", default=None, help="Table, subtitles or TextGrid of the film, or `embedded`.")
@click.option("--features", metavar="NAME=FILE", multiple=True, help="Ready-made features that the run had too.")
@click.option("--offset", "offset_s", metavar="SECONDS", default="0", help="Film time at which volume 0 begins.")
@click.option("--trs", type=click.IntRange(min=1), default=None, help="How many TRs; default all of the film.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/predicted"), help="Folder of the scans.")
@click.option("--json", "as_json", is_flag=True, help="Print prediction.json.")
@click.option("--quiet", is_flag=True, help="No progress.")
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
    from giblet.cli.flags import name_and_file
    from giblet.data.study import study_from_flags
    from giblet.pipeline.predict import predict_film
    from giblet.pipeline.reopen import reopen
    from giblet.plugins import Registry
    from giblet.types import seconds

    registry = Registry.discover()
    registry.load_wrappers()
    again = reopen(run, registry)
    for note in again.notes:
        click.echo(f"note: {note}", err=True)
    tables = [name_and_file(f) for f in features]
    texts = [] if annotations is None else [annotations]
    study = study_from_flags([film] if film else [], texts, (), again.blueprint.tr_s, (), tables, (), needs_bold=False)
    with progress_bars(quiet=quiet) as progress:
        told = predict_film(again, study.stimuli[0], out, progress, seconds(offset_s), trs)
    for reason in told["missing"].values():
        click.echo(f"note: {reason}; it was left out", err=True)
    if as_json:
        click.echo(json.dumps(told, indent=1, default=str))
        return
    click.echo(f"{told['n_trs']} TRs of {told['tr_s']:g} s from {', '.join(told['modalities'])}")
    for name in told["files"].values():
        click.echo(out / name)
