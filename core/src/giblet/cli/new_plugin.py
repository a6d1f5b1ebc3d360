"""`giblet new-plugin`."""

from __future__ import annotations

import re
import shlex
from importlib.metadata import entry_points, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from keyword import iskeyword
from pathlib import Path
from string import Template

import click

from giblet.api.choice import TABLES
from giblet.errors import ConfigError, did_you_mean
from giblet.plugins import GROUP, can_be_kind

SUMMARIES = {
    "audio": "How loud a film is, moment by moment",
    "video": "How bright a film is, and how much moves in it, frame by frame",
    "text": "How many words a film's annotations have, and how long they are",
    "fmri": "Scans that are tables of parcels",
}
"""The kinds that have a template of their own; every other kind is a new one."""
NEW = "new"
PLACES = {
    "every/pyproject.toml": "pyproject.toml",
    "every/README.md": "README.md",
    "every/gitignore": ".gitignore",
    "every/workflow.yml": ".github/workflows/tests.yml",
    "{kind}/plugin.py": "src/{module}/__init__.py",
    "{kind}/nets.py": "src/{module}/nets.py",
    "{kind}/test_plugin.py": "tests/test_{plugin}.py",
}
"""Where each file of the template goes; a kind may lack some."""


@click.command()
@click.argument("name")
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option(
    "--kind", required=True, metavar="KIND", help=f"{', '.join(SUMMARIES)}, or a new one, which is read from tables."
)
def command(name: str, kind: str, out: Path | None) -> None:
    """Write a plugin that works: package, tests, README and CI, to change into your own.

    It is called KIND_NAME, and goes to the folder OUT (default: giblet-KIND-NAME), which must be new or empty.
    """
    check_names(name, kind)
    folder = out or Path(f"giblet-{kind}-{name}".replace("_", "-"))
    write(distribution(name, kind), folder)
    if kind not in SUMMARIES:
        click.echo(f"note: {kind} is a new kind; {did_you_mean(kind, SUMMARIES)}", err=True)
    click.echo(f"{folder} holds the plugin {kind}_{name}; install it and run its tests:")
    quoted = shlex.quote(str(folder))
    click.echo(f"  uv pip install pytest --editable {quoted}\n  pytest {quoted}")


def check_names(name: str, kind: str) -> None:
    """Refuse names that cannot be a plugin's, and one that is taken.

    Raises
    ------
    ConfigError
        Saying what is legal, or who has the name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", kind) or not can_be_kind(kind) or kind == TABLES or iskeyword(kind):
        raise ConfigError(
            f"{kind!r} cannot be a kind: one lower-case word of letters and digits, such as eeg, that `giblet run` "
            "does not use itself, and no word of Python's own"
        )
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name) or iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be a plugin's name: lower-case letters and digits, words joined by one underscore, such "
            "as pupil_size, and no word of Python's own"
        )
    for point in entry_points(group=GROUP, name=f"{kind}_{name}"):
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        raise ConfigError(f"the plugin {point.name} is there already, from {owner}; choose another name")


def distribution(name: str, kind: str) -> dict[str, str]:
    """The files of a plugin: text by the path within its folder."""
    plugin = f"{kind}_{name}"
    major, minor = version("giblet").split(".")[:2]
    words = {
        "plugin": plugin,
        "name": name,
        "kind": kind,
        "module": f"giblet_{plugin}",
        "distribution": f"giblet-{plugin}".replace("_", "-"),
        "cls": "".join(word.capitalize() for word in plugin.split("_")),
        "summary": SUMMARIES.get(kind, f"Recordings of the kind {kind}, from tables"),
        "version": f"{major}.{minor}",
        "next_version": f"{major}.{int(minor) + 1}",
    }
    template = kind if kind in SUMMARIES else NEW
    words["about"] = _filled(f"{template}/about.md", words).strip()
    made = {f"src/giblet_{plugin}/py.typed": ""}
    for part, place in PLACES.items():
        if _part(part.format(kind=template)).is_file():
            made[place.format(**words)] = _filled(part.format(kind=template), words)
    return made


def write(made: dict[str, str], folder: Path) -> None:
    """Write the files into a folder that is new or empty.

    Raises
    ------
    ConfigError
        If there is something in the folder already, or it cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder} is there already; nothing was written: give a folder that is new or empty")
        for place, text in made.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}; give another folder as OUT") from None


def _part(name: str) -> Traversable:
    return files("giblet") / "template" / f"{name}.tmpl"


def _filled(name: str, words: dict[str, str]) -> str:
    return Template(_part(name).read_text("utf-8")).substitute(words)
