"""What several commands' options have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from giblet.api.choice import default_of, kinds
from giblet.cli.complete import complete_plugins, complete_runs, complete_settings
from giblet.errors import ConfigError

Function = Callable[..., None]
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
run_argument = click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)


def kind_options(function: Function) -> Function:
    """One option a kind: `--video s3d`, `--audio none`."""
    for kind, names in reversed(kinds().items()):
        text = f"{', '.join(names)} or none; default {default_of(kind, names)}."
        complete = complete_plugins([*names, "none"])
        option = click.option(f"--{kind}", metavar="NAME", default=None, help=text, shell_complete=complete)
        function = option(function)
    return function


def settings_option(text: str) -> Callable[[Function], Function]:
    """`-o SECTION.KEY=VALUE`."""
    return click.option(
        "-o",
        "--set",
        "overrides",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        help=text,
        shell_complete=complete_settings,
    )


def json_option(what: str) -> Callable[[Function], Function]:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what}.")


def settings_of(pairs: Iterable[str]) -> dict[str, Any]:
    """The settings of `-o`, by name."""
    from giblet.config import parse_override

    return dict(map(parse_override, pairs))


def plugins_of(flags: dict[str, Any]) -> dict[str, str | None]:
    """The plugin that was asked for of each kind."""
    return {kind: flags[kind] for kind in kinds()}


def tables_of(pairs: Sequence[str]) -> dict[str, Path]:
    """`NAME=FILE` of --features.

    Raises
    ------
    ConfigError
        If one has another form, or a name is given twice.
    """
    found: dict[str, Path] = {}
    for text in pairs:
        name, equals, path = text.partition("=")
        if not (name.isidentifier() and equals and path):
            raise ConfigError(f"--features {text!r} is not NAME=FILE, for example --features motion=motion.tsv")
        if name in found:
            raise ConfigError(f"--features {name!r} is named twice; each needs its own name")
        found[name] = Path(path)
    return found


def command_line() -> str:
    """What was typed."""
    return " ".join(["giblet", *sys.argv[1:]])


def print_json(value: Any) -> None:
    """Figures for a machine."""
    click.echo(json.dumps(value, indent=1, default=str))


def print_file(path: Path) -> None:
    """A JSON file, as it was written."""
    click.echo(path.read_text(encoding="utf-8"))
