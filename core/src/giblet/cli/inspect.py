"""`giblet inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.flags import json_option, kind_options, plugins_of, print_json, settings_of, settings_option
from giblet.cli.study_flags import study_of, study_options
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.api.inspecting import Inspected


@click.command(context_settings={"show_default": True})
@study_options
@kind_options
@settings_option("A setting of the run to come, e.g. -o model.kernel_s=24.")
@click.option("--plot", type=click.Path(path_type=Path), default=None, help="Draw it all to a .svg, .png or .pdf.")
@json_option("what the run would write to inputs.json")
def command(study: Path | None, overrides: Sequence[str], plot: Path | None, as_json: bool, **flags: Any) -> None:
    """Look at a study before a long run: streams, TRs, overlap, blocks. Reads headers; extracts and trains nothing.

    STUDY is a study.toml or its folder. The exit code is 2 where a run would stop.
    """
    from giblet.api.inspecting import inspect_study

    found = study_of(study, flags)
    if found is None:
        raise ConfigError("there is nothing to inspect; name a study.toml, or give --film, --annotations and --bold")
    seen = inspect_study(found, settings=settings_of(overrides), **plugins_of(flags))
    if plot is not None:
        seen.plot(plot)
    print_json(seen.described) if as_json else _show(seen)
    if seen.problem is not None:
        raise ConfigError(f"a run would stop: {seen.problem}")


def _show(seen: Inspected) -> None:
    for run in seen.runs:
        clock = seen.described["clocks"][run]
        click.echo(f"{run}: {clock['n_trs']} TRs of {clock['tr_s']:g} s from {clock['start_s']:g} s of the stimulus")
        for s in seen.streams:
            if s["clock"] == run:
                _stream(s)
        _scans([s for s in seen.described["scans"] if s["clock"] == run])
        _blocks(seen, run)
    for note in seen.notes:
        click.echo(f"note: {note}")


def _stream(s: dict[str, Any]) -> None:
    rate = "" if s["rate_hz"] is None else f" at {s['rate_hz']:g} Hz"
    span = f"{s['start_s']:.2f} to {s['stop_s']:.2f} s, in {s['covered_trs']} TRs" if s["covered"] else "length unknown"
    name = s["modality"] if s["signal"] == s["kind"] else s["signal"]
    click.echo(f"  {name:15} {s['what']}{rate}, {span}")


def _scans(scans: Sequence[dict[str, Any]]) -> None:
    """People with as many volumes share a line."""
    for n in sorted({s["n_volumes"] for s in scans}, reverse=True):
        people = [s["subject"] for s in scans if s["n_volumes"] == n]
        click.echo(f"  {'scans':15} {n} volumes each of {', '.join(people)}")


def _blocks(seen: Inspected, run: str) -> None:
    """A line; of several folds one each."""
    for name, blocks in seen.described["split"].items():
        if blocks and (name == run or name.endswith(f": {run}")):
            said = ", ".join(f"{label} {start}-{stop}" for label, start, stop in blocks)
            title = "blocks" if name == run else name.removesuffix(f": {run}")
            click.echo(f"  {title:15} {said} (TRs), {seen.gap_s:g} s apart")
