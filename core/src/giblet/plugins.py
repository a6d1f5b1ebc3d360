"""Find plugins without importing them, load them one at a time, and keep what went wrong as data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from giblet import hookspecs
from giblet.errors import ConfigError, GibletError, PluginError, did_you_mean

if TYPE_CHECKING:
    from giblet.modality import Modality
    from giblet.types import Features, Source

GROUP = "giblet"
WRAPPERS = "giblet.wrappers"
STAGES = ("extract", "align", "encode", "decode", "reconstruct")
HOOKS = ("register_modalities", *STAGES)
ROLES = ("stimulus", "brain")
_WORDS = (
    "annotations backend bids bold command debug device dry_run evaluate exclude extract extract_only film folds help "
    "jobs json model modules offset out overwrite plot plumbing quiet scheduler seed seeds set settings space split "
    "study task tr train transposed vary"
)
RESERVED = frozenset(_WORDS.split())
"""Words that commands with an option a kind, `giblet.fit` and the config use themselves: no kind can be called so."""


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
    def extract(self, modality: Modality, source: Source) -> Iterator[Features]:
        """Chunks of features, each checked."""
        return checked_chunks(modality, source)

    @hookspecs.hookimpl(trylast=True)
    def align(self, modality: Any, features: Any, grid: Any) -> Any:
        """By the modality."""
        return modality.align(features, grid)

    @hookspecs.hookimpl(trylast=True)
    def encode(self, modality: Any, spec: Any, width: int) -> Any:
        """By the modality."""
        return modality.encode(spec, width)

    @hookspecs.hookimpl(trylast=True)
    def decode(self, modality: Any, spec: Any, width: int) -> Any:
        """By the modality."""
        return modality.decode(spec, width)

    @hookspecs.hookimpl(trylast=True)
    def reconstruct(self, modality: Any, features: Any, out: Any) -> Any:
        """By the modality."""
        return modality.reconstruct(features, out)


def checked_chunks(modality: Modality, source: Source) -> Iterator[Features]:
    """What a modality extracts, one chunk after the other.

    Raises
    ------
    PluginError
        If it yields something other than features of numbers [N, *S], or gives no chunks to go through.
    """
    from giblet.types import Features

    given: object = modality.extract(source)
    if not isinstance(given, Iterable):
        raise PluginError(f"{modality.name}: extract must yield Features, not return {type(given).__name__}")
    for chunk in given:
        if not isinstance(chunk, Features):
            raise PluginError(f"{modality.name}: extract must yield Features, not {type(chunk).__name__}")
        if chunk.values.ndim < 2:
            raise PluginError(f"{modality.name}: values are {chunk.values.shape}; a frame needs a shape: give [N, 1]")
        if chunk.values.dtype.kind not in "biuf":
            raise PluginError(f"{modality.name}: values are {chunk.values.dtype}; give real numbers, such as float32")
        yield chunk


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
            except (Exception, SystemExit) as error:
                plugin.error, plugin.modalities = _explain(error), {}
                if self.pm.has_plugin(name):
                    self.pm.unregister(name=name)
        return plugin

    def _register(self, plugin: Plugin) -> None:
        module = plugin.load()
        if not self.pm.is_registered(module):  # one module may stand behind several entry points
            self.pm.register(module, name=plugin.name)
        _check_hooks(module, self.pm, plugin)
        others = [p for p in self.pm.get_plugins() if p is not module]
        classes = self.pm.subset_hook_caller("register_modalities", others)()
        for cls in (c for batch in classes for c in batch):
            check_class(cls)
            if cls.name in plugin.modalities:
                raise PluginError(f"register_modalities() returned two classes named {cls.name!r}")
            plugin.modalities[cls.name] = cls
        if plugin.name not in plugin.modalities:
            found = ", ".join(sorted(plugin.modalities)) or "nothing"
            raise PluginError(f"the entry point is {plugin.name!r}, but register_modalities() returned {found}")

    def load_wrappers(self) -> list[str]:
        """Load what wraps the stages of every run (entry points of `giblet.wrappers`); their names, for the report.

        Raises
        ------
        PluginError
            If one is broken: it may change what a run computes, so no run leaves it out in silence.
        """
        for point in sorted(entry_points(group=WRAPPERS), key=lambda p: p.name):
            plugin = _plugin(point)
            try:
                module = point.load()
                self.pm.register(module, name=f"wrapper:{point.name}")
                _check_hooks(module, self.pm, plugin)
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"{point.name!r} of {plugin.owner}, which wraps the stages of every run, does not load: "
                    f"{_explain(error)}; repair or uninstall it"
                ) from error
            self.wrappers.append(f"{point.name} ({plugin.owner})")
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
            raise PluginError(
                f"no plugin {name!r}; {did_you_mean(name, sorted(self.plugins))}; `giblet plugins` tells more"
            )
        plugin = self.load(name)
        if plugin.error:
            raise PluginError(f"plugin {name!r} of {plugin.owner} does not load: {plugin.error}; mend or remove it")
        return plugin.modalities[name]

    def modality(self, name: str, **settings: Any) -> Modality:
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


def _explain(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename:  # its own text has the file's name without its folder
        return f"{type(error).__name__}: {error.msg}, {error.filename}, line {error.lineno}"
    return text if isinstance(error, GibletError) else f"{type(error).__name__}: {text}"


def _check_hooks(module: object, pm: pluggy.PluginManager, plugin: Plugin) -> None:
    """Refuse hooks that do not exist, and stages that do not wrap: those would answer for every modality."""
    for caller in pm.get_hookcallers(module) or []:
        if not caller.has_spec():
            raise PluginError(f"there is no hook {caller.name!r}; {did_you_mean(caller.name, HOOKS)}")
        for impl in caller.get_hookimpls():
            if impl.plugin is module and caller.name in STAGES and not (impl.wrapper or impl.hookwrapper):
                raise PluginError(
                    f"{plugin.owner} implements the stage {caller.name!r} for every modality; "
                    f"override Modality.{caller.name}() in its own class, or make the hook a wrapper"
                )


def can_be_kind(kind: str) -> bool:
    """Whether a kind can be an option of `giblet run` and a section of the config."""
    return kind.isidentifier() and kind.islower() and kind not in RESERVED


def check_class(cls: object) -> None:
    """Refuse what is no Modality class, is abstract, or has no fit name, kind and role.

    Raises
    ------
    PluginError
        Saying what the class must do.
    """
    from giblet.brain import BrainModality
    from giblet.modality import Modality

    if not (isinstance(cls, type) and issubclass(cls, Modality)):
        raise PluginError(f"register_modalities() returned {cls!r}, which is not a Modality class")
    if inspect.isabstract(cls):
        raise PluginError(f"{cls.__name__} does not implement {', '.join(sorted(cls.__abstractmethods__))}")
    for attribute in ("name", "kind"):
        if not isinstance(getattr(cls, attribute, None), str):
            raise PluginError(f"{cls.__name__} must set the class attribute `{attribute}`, a string")
    if not can_be_kind(cls.kind):
        raise PluginError(
            f"{cls.__name__} is of the kind {cls.kind!r}; a kind is one lower-case word that is still free"
        )
    if cls.role not in ROLES:
        raise PluginError(f"{cls.__name__} has the role {cls.role!r}; a role is one of: {', '.join(ROLES)}")
    if (cls.role == "brain") != issubclass(cls, BrainModality):
        raise PluginError(
            f"{cls.__name__} has the role {cls.role!r}; what has the role 'brain', and nothing else, derives from "
            "giblet.brain.BrainModality"
        )
    if cls.name.partition("_")[0] != cls.kind or cls.name == cls.kind:
        raise PluginError(f"{cls.__name__} is named {cls.name!r}; a name begins with its kind: '{cls.kind}_...'")


def _settings_error(name: str, cls: type[Modality], error: Any) -> str:
    from giblet.config import what_is_wrong

    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        return f"{name} has no setting {key!r}; {did_you_mean(key, sorted(cls.model_fields))}"
    if first["type"] == "missing":
        return f"{name} needs the setting {key!r}"
    return f"{name}: setting {key} = {first['input']!r} is not possible: {what_is_wrong(first)}"
