"""What giblet raises for its users: one line that says what was wrong, what is legal and what to do next."""

from __future__ import annotations

from collections.abc import Iterable


class GibletError(Exception):
    """Base of everything that giblet raises on purpose; the command line prints it as one line.

    `exit_code` is what the command exits with: 1 when the work failed, 2 when the request or its input was wrong.
    """

    exit_code = 1


class ConfigError(GibletError):
    """A setting, flag or study file that cannot be meant."""

    exit_code = 2


class DataError(GibletError):
    """A file that is missing, broken or not what it was said to be."""

    exit_code = 2


class PluginError(GibletError):
    """A plugin that is missing, broken or in another's way."""

    exit_code = 2


class WeightsError(GibletError):
    """A model's weights that cannot be had here."""

    exit_code = 2


def did_you_mean(value: str, legal: Iterable[str]) -> str:
    """The end of an error about a name that does not exist: the nearest legal one, and all of them."""
    import difflib

    names = list(legal)
    near = difflib.get_close_matches(value, names, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are: {', '.join(names) or 'none'}"
