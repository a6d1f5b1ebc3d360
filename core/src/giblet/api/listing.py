"""`giblet.list_plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from giblet.plugins import Plugin, Registry


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """An installed plugin: its distribution, what it can do, the names of its settings, and its error if broken."""

    name: str
    kind: str
    role: str | None
    distribution: str
    version: str
    abilities: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    error: str | None = None


def list_plugins() -> list[PluginInfo]:
    """Every installed plugin, each loaded by itself, so that a broken one hides no other."""
    from giblet.plugins import Registry

    registry = Registry.discover()
    return [_info(plugin, registry) for plugin in registry.all()]


def _info(plugin: Plugin, registry: Registry) -> PluginInfo:
    from giblet.modality import Modality

    if registry.plugins.get(plugin.name) is plugin:
        registry.load(plugin.name)
    origin = (plugin.distribution, plugin.version)
    cls = plugin.modalities.get(plugin.name)
    if cls is None:
        return PluginInfo(plugin.name, plugin.kind, None, *origin, error=plugin.error)
    abilities = ["encode", "decode", *(["reconstruct"] if cls.reconstruct is not Modality.reconstruct else [])]
    return PluginInfo(plugin.name, plugin.kind, cls.role, *origin, abilities, sorted(cls.model_fields), plugin.error)
