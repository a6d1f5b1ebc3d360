"""Find plugins without importing them, load them one at a time, and keep what went wrong as data."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from giblet import hookspecs
from giblet.errors import ConfigError, GibletError, PluginError

if TYPE_CHECKING:
    from giblet.modality import Modality

GROUP = "giblet"
WRAPPERS = "giblet.wrappers"
STAGES = ("extract", "align", "encode", "decode", "reconstruct")


@dataclass
class Plugin:
    """One entry point: where it comes from, and, once it was loaded, its classes or its error."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]
    modalities: dict[str, type[Modality]] = field(default_factory=dict)
    error: str | None = None
    loaded: bool = False

    @property
    def kind(self) -> str:
        """The kind that the name promises: all before the first underscore."""
        return self.name.partition("_")[0]

    @property
    def owner(self) -> str:
        """Who to tell: distribution and version."""
        return f"{self.distribution} {self.version}"


class CoreStages:
    """giblet's own implementation of the stages: call the modality's method of the same name."""

    @hookspecs.hookimpl(trylast=True)
    def extract(self, modality: Any, source: Any) -> Any:  # noqa: ANN401, D102
        return modality.extract(source)

    @hookspecs.hookimpl(trylast=True)
    def align(self, modality: Any, features: Any, grid: Any) -> Any:  # noqa: ANN401, D102
        return modality.align(features, grid)

    @hookspecs.hookimpl(trylast=True)
    def encode(self, modality: Any, spec: Any, width: int) -> Any:  # noqa: ANN401, D102
        return modality.encode(spec, width)

    @hookspecs.hookimpl(trylast=True)
    def decode(self, modality: Any, spec: Any, width: int) -> Any:  # noqa: ANN401, D102
        return modality.decode(spec, width)

    @hookspecs.hookimpl(trylast=True)
    def reconstruct(self, modality: Any, features: Any, out: Any) -> Any:  # noqa: ANN401, D102
        return modality.reconstruct(features, out)


class Registry:
    """The plugins that are installed, each loaded when it is first asked for, none able to harm another."""

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager(GROUP)
        self.pm.add_hookspecs(hookspecs)
        self.pm.register(CoreStages(), name="giblet-core")
        self.plugins: dict[str, Plugin] = {}
        self.clashes: dict[str, list[Plugin]] = {}
        self.wrappers: list[str] = []

    @classmethod
    def discover(cls) -> Registry:
        """All installed plugins by their entry points, none imported yet."""
        registry = cls()
        for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
            registry.add(_plugin(point))
        return registry

    def add(self, plugin: Plugin) -> None:
        """Announce a plugin. Two of one name exclude each other, and both owners are named."""
        if plugin.name in self.plugins or plugin.name in self.clashes:
            first = self.plugins.pop(plugin.name, None)
            self.clashes.setdefault(plugin.name, [first] if first else []).append(plugin)
            owners = " and ".join(p.owner for p in self.clashes[plugin.name])
            for p in self.clashes[plugin.name]:
                p.error = f"the name {plugin.name!r} is claimed by {owners}; uninstall one of them"
        else:
            self.plugins[plugin.name] = plugin

    def all(self) -> list[Plugin]:
        """Every plugin that was found, the clashing ones too."""
        return sorted([*self.plugins.values(), *(p for ps in self.clashes.values() for p in ps)], key=lambda p: p.name)

    def load(self, name: str) -> Plugin:
        """Import one plugin and check all of it; what is wrong with it is kept in its `error`."""
        plugin = self.plugins[name]
        if not plugin.loaded:
            plugin.loaded = True
            try:
                self._register(plugin)
            except Exception as error:  # noqa: BLE001 - whatever a plugin does wrong must stay its own problem
                plugin.error, plugin.modalities = _explain(error), {}
                if self.pm.has_plugin(name):
                    self.pm.unregister(name=name)
        return plugin

    def _register(self, plugin: Plugin) -> None:
        module = plugin.load()
        self.pm.register(module, name=plugin.name)
        _refuse_stages(module, self.pm, plugin)
        self.pm.check_pending()
        others = [p for n, p in self.pm.list_name_plugin() if n != plugin.name and p is not None]
        classes = self.pm.subset_hook_caller("register_modalities", others)()
        for cls in (c for batch in classes for c in batch):
            _check_class(cls, plugin)
            plugin.modalities[cls.name] = cls
        if plugin.name not in plugin.modalities:
            found = ", ".join(sorted(plugin.modalities)) or "nothing"
            raise PluginError(f"the entry point is {plugin.name!r}, but register_modalities() returned {found}")

    def load_wrappers(self) -> list[str]:
        """Load what wraps the stages of every run (entry points of `giblet.wrappers`); their names, for the report."""
        for point in sorted(entry_points(group=WRAPPERS), key=lambda p: p.name):
            module = point.load()
            plugin = _plugin(point)
            self.pm.register(module, name=f"wrapper:{point.name}")
            _refuse_stages(module, self.pm, plugin)
            self.wrappers.append(f"{point.name} ({plugin.owner})")
        self.pm.check_pending()
        return self.wrappers

    def modality_class(self, name: str) -> type[Modality]:
        """The class behind a name.

        Raises
        ------
        PluginError
            If no plugin has this name (with the nearest ones), two have it, or its plugin is broken (with its owner).
        """
        if name in self.clashes:
            raise PluginError(str(self.clashes[name][0].error))
        if name not in self.plugins:
            near = difflib.get_close_matches(name, self.plugins, 1)
            hint = f"did you mean {near[0]!r}?" if near else "`giblet plugins` lists them"
            raise PluginError(f"no plugin {name!r}; installed: {', '.join(sorted(self.plugins))}; {hint}")
        plugin = self.load(name)
        if plugin.error:
            raise PluginError(f"plugin {name!r} of {plugin.owner} does not load: {plugin.error}; reinstall or remove it")
        return plugin.modalities[name]

    def modality(self, name: str, **settings: Any) -> Modality:  # noqa: ANN401
        """Build a modality from its name and settings.

        Raises
        ------
        PluginError
            As `modality_class`.
        ConfigError
            If a setting is unknown or has a value that it cannot have.
        """
        from pydantic import ValidationError

        cls = self.modality_class(name)
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError(_settings_error(name, cls, error)) from None


def _plugin(point: EntryPoint) -> Plugin:
    dist = point.dist
    return Plugin(point.name, dist.name if dist else point.value, dist.version if dist else "?", point.load)


def _explain(error: Exception) -> str:
    return str(error) if isinstance(error, GibletError) else f"{type(error).__name__}: {error}".splitlines()[0]


def _refuse_stages(module: object, pm: pluggy.PluginManager, plugin: Plugin) -> None:
    """A stage implementation that does not wrap would answer for every modality: name the method to write instead."""
    for caller in pm.get_hookcallers(module) or []:
        for impl in caller.get_hookimpls():
            if impl.plugin is module and caller.name in STAGES and not (impl.wrapper or impl.hookwrapper):
                raise PluginError(
                    f"{plugin.owner} implements the stage {caller.name!r} for every modality; "
                    f"override Modality.{caller.name}() in its own class, or make the hook a wrapper"
                )


def _check_class(cls: object, plugin: Plugin) -> None:
    from giblet.modality import Modality

    if not (isinstance(cls, type) and issubclass(cls, Modality)):
        raise PluginError(f"register_modalities() returned {cls!r}, which is not a Modality class")
    if inspect.isabstract(cls):
        raise PluginError(f"{cls.__name__} does not implement {', '.join(sorted(cls.__abstractmethods__))}")
    for attribute in ("name", "kind"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise PluginError(f"{cls.__name__} must set the class attribute `{attribute}`, a string")
    if not cls.name.startswith(f"{cls.kind}_"):
        raise PluginError(f"{cls.__name__} is named {cls.name!r}; a name begins with its kind: '{cls.kind}_...'")
    if cls.name in plugin.modalities:
        raise PluginError(f"register_modalities() returned two classes named {cls.name!r}")


def _settings_error(name: str, cls: type[Modality], error: Any) -> str:  # noqa: ANN401
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, cls.model_fields, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{name} has no setting {key!r}; {hint}it has: {', '.join(sorted(cls.model_fields)) or 'none'}"
    return f"{name}: setting {key} = {first['input']!r} is not possible: {first['msg']}"
