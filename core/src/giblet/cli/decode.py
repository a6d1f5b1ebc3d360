"""`giblet decode`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from giblet.cli.progress import progress_bars


@click.command(context_settings={"show_default": True})
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("scan", type=click.Path(path_type=Path))
@click.option("--subject", metavar="NAME", default=None, help="Who of the run it is; default somebody new.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=None, help="Write no more than this.")
@click.option("--tr", "tr_s", metavar="SECONDS", default=None, help="The TR; overrules the header.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/decoded"), help="Folder of what was read.")
@click.option("--json", "as_json", is_flag=True, help="Print decoded.json.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    run: Path,
    scan: Path,
    subject: str | None,
    seconds: float | None,
    tr_s: str | None,
    out: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn a measured SCAN back into film, sound and text with a finished RUN.

    The scan must be in the space of the run's scans, with their TR.
    """
    from giblet.pipeline.decoding import decode_scan
    from giblet.pipeline.reopen import reopen
    from giblet.plugins import Registry
    from giblet.types import seconds as exact

    registry = Registry.discover()
    registry.load_wrappers()
    again = reopen(run, registry)
    with progress_bars(quiet=quiet) as progress:
        told = decode_scan(again, scan, out, progress, subject, seconds, None if tr_s is None else exact(tr_s))
    for note in told["notes"]:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(json.dumps(told, indent=1, default=str))
        return
    click.echo(f"{told['written_trs']} of {told['n_trs']} TRs of {told['tr_s']:g} s, read by {told['read_by']}")
    for name in told["files"].values():
        click.echo(out / name)
