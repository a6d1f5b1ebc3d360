"""`giblet weights`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from giblet.cli.figures import row
from giblet.cli.flags import json_option, print_json

MB = 1e6


@click.group()
def command() -> None:
    """Names for weights on this machine, to be used in settings: `-o audio.weights=NAME`."""


@command.command("list")
@json_option("the list")
def list_command(as_json: bool) -> None:
    """What has a name, what plugins bring along, and what was fetched before; no network is asked."""
    from giblet.weights import named_weights
    from giblet.weights.found import found_weights

    named, found = named_weights(), found_weights()
    if as_json:
        print_json([*(asdict(w) | {"state": w.state} for w in named), *(w._asdict() for w in found)])
        return
    for w in named:
        _line(w.name, w.state, w.n_bytes, w.path)
    for f in found:
        _line(f.name, f.whose, f.n_bytes, f.path)
    if not named:
        click.echo("none has a name of yours; giblet weights add NAME PATH gives one")


@command.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@json_option("what is kept")
def add(name: str, path: Path, as_json: bool) -> None:
    """Name the weights in a file (.safetensors, .pt), or a model in a folder; the files stay where they are."""
    from giblet.weights import add_weights

    added = add_weights(name, path)
    print_json(asdict(added)) if as_json else _line(
        added.name, f"sha256 {added.sha256[:12]}", added.n_bytes, added.path
    )


@command.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a name; the files stay."""
    from giblet.weights import remove_weights

    click.echo(f"{name} no longer names {remove_weights(name).path}, which stays")


def _line(name: str, what: str, n_bytes: int, path: Path) -> None:
    click.echo(row((name, what, f"{n_bytes / MB:.1f} MB", f"  {path}"), (32, 20, 12, 0)))
