"""Commands of other distributions, entry points of `giblet.commands`: known by name, imported when they are called."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points, version

import click

from giblet.errors import GibletError, PluginError

GROUP = "giblet.commands"


def names() -> list[str]:
    """Of all commands that were found."""
    return sorted(_found())


def rows(ours: Iterable[str]) -> list[tuple[str, str]]:
    """Name and owner of each, for the list of commands."""
    return [(name, f"Of {' and '.join(_owners(name, points, ours))}.") for name, points in sorted(_found().items())]


def load(name: str, ours: Iterable[str]) -> click.Command | None:
    """Import one command, or None where the name is free or giblet's own alone.

    Raises
    ------
    PluginError
        If two claim the name, or it does not load, naming the owners.
    """
    if not (points := _found().get(name)):
        return None
    owners = _owners(name, points, ours)
    if len(owners) > 1:
        raise PluginError(f"the command {name!r} is claimed by {' and '.join(owners)}; uninstall one of them")
    return _import(points[0], owners[0])


def _found() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _import(point: EntryPoint, owner: str) -> click.Command:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        said = text if isinstance(error, GibletError) else f"{type(error).__name__}: {text}"
        raise PluginError(f"the command {point.name!r} of {owner} does not load: {said}; mend or remove it") from error
    if not isinstance(found, click.Command):
        raise PluginError(f"the command {point.name!r} of {owner} is {point.value}, which is no click command")
    return found


def _owners(name: str, points: Iterable[EntryPoint], ours: Iterable[str]) -> list[str]:
    """Who claims a name: distributions with their versions, giblet first."""
    own = [f"giblet {version('giblet')}"] if name in ours else []
    return own + [f"{point.dist.name} {point.dist.version}" if point.dist else point.value for point in points]
