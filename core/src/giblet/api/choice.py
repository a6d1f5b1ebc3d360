"""Which plugin reads each kind of signal: what was asked for, else the default, else none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from giblet.errors import ConfigError, did_you_mean

DEFAULTS = {"video": "s3d", "audio": "mel", "text": "bge", "fmri": "mask"}
NONE = "none"
TABLES = "features"
"""The kind of ready-made features, which get their files by name and not by a choice of plugin."""


def kinds() -> dict[str, list[str]]:
    """Every kind that an installed plugin provides, with the names to choose from; nothing is imported."""
    from giblet.plugins import can_be_kind

    found: dict[str, list[str]] = {}
    for point in sorted(entry_points(group="giblet"), key=lambda p: p.name):
        kind, _, name = point.name.partition("_")
        if kind != TABLES and name and can_be_kind(kind):
            found.setdefault(kind, []).append(name)
    return found


def default_of(kind: str, names: list[str]) -> str:
    """What reads a kind unless something else is asked for: nothing where the default is not installed."""
    return DEFAULTS[kind] if DEFAULTS.get(kind) in names else NONE


def chosen_plugins(asked: Mapping[str, str | None]) -> dict[str, str]:
    """Kind -> plugin for every kind; short names are completed with their kind.

    Raises
    ------
    ConfigError
        If no plugin provides a kind that is asked for.
    """
    there = kinds()
    for kind in asked:
        if kind not in there:
            raise ConfigError(f"no installed plugin provides the kind {kind!r}; {did_you_mean(kind, there)}")
    chosen = {kind: asked.get(kind) or default_of(kind, names) for kind, names in there.items()}
    return {k: n if n == NONE or n.startswith(f"{k}_") else f"{k}_{n}" for k, n in chosen.items()}
