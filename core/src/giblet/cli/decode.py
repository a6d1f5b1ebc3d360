"""`giblet decode`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from giblet.cli.complete import complete_subjects
from giblet.cli.flags import json_option, print_file, quiet_option, run_argument


@click.command(context_settings={"show_default": True})
@run_argument
@click.argument("scan", type=click.Path(path_type=Path))
@click.option(
    "--subject",
    metavar="NAME",
    default=None,
    help="Who of the run it is; default somebody new.",
    shell_complete=complete_subjects,
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=None, help="Write no more than this.")
@click.option("--tr", "tr_s", metavar="SECONDS", default=None, help="The TR; overrules the header.")
@click.option(
    "--confounds", metavar="FILE", default=None, help="Its confounds; default what fMRIPrep wrote beside the scan."
)
@click.option(
    "--confound-column",
    "confound_columns",
    metavar="NAME",
    multiple=True,
    help="A column of the confounds, once for each; default those that the run took.",
)
@click.option("--right", metavar="FILE", default=None, help="The right hemisphere, where SCAN is the left one.")
@click.option("--transposed", is_flag=True, help="A table with one row a parcel, not a TR.")
@click.option("--variable", metavar="NAME", default=None, help="The array of a .mat file; default the run's.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/decoded"), help="Folder of what was read.")
@json_option("decoded.json")
@quiet_option
def command(
    run: Path,
    scan: Path,
    subject: str | None,
    seconds: float | None,
    tr_s: str | None,
    out: Path,
    as_json: bool,
    quiet: bool,
    **files: Any,
) -> None:
    """Turn a measured SCAN back into film, sound and text with a finished RUN.

    The scan must be in the space of the run's scans, with their TR.
    """
    from giblet.api.run import open_run
    from giblet.pipeline.decoding import MARKER
    from giblet.pipeline.results import require_own

    opened = open_run(run)
    require_own(out, MARKER)
    made = opened.decode(scan, subject=subject, seconds=seconds, tr_s=tr_s, quiet=quiet, **files)
    told = made.save(out, quiet=quiet)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        print_file(out / MARKER)
        return
    click.echo(f"{told['written_trs']} of {told['n_trs']} TRs of {told['tr_s']:g} s, read by {told['read_by']}")
    for name in told["files"].values():
        click.echo(out / name)
