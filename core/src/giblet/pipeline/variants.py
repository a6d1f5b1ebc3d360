"""What an ablation varies: axes of settings, their grid, and the config of each of its cells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from giblet.config import RunConfig, build_config, parse_overrides, parse_value
from giblet.errors import ConfigError, did_you_mean
from giblet.plugins import Registry
from giblet.types import TEMPORAL_MODULES

TEMPORAL = "temporal"
Overrides = dict[str, dict[str, Any]]
Variant = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that varies: `temporal` (of every plugin that has it) or `SECTION.KEY`, and the values it takes."""

    name: str
    values: tuple[Any, ...]


def temporal_axis(names: Sequence[str]) -> Axis:
    """The axis of temporal modules.

    Raises
    ------
    ConfigError
        If a module does not exist, or is named twice.
    """
    for name in names:
        if name not in TEMPORAL_MODULES:
            raise ConfigError(f"no temporal module {name!r}; {did_you_mean(name, TEMPORAL_MODULES)}")
    return axis_of(TEMPORAL, tuple(names))


def parse_axis(text: str, kinds: Iterable[str]) -> Axis:
    """`SECTION.KEY=VALUE,VALUE,...` as an axis; values with commas of their own go into a JSON list.

    Raises
    ------
    ConfigError
        If it has another form, names an unknown section, or gives a value twice.
    """
    path, _, listed = text.partition("=")
    parse_overrides([text if listed else path], kinds, "--vary")  # says what is wrong with the form or the section
    whole = parse_value(listed)
    return axis_of(path, tuple(whole) if isinstance(whole, list) else tuple(map(parse_value, listed.split(","))))


def axis_of(name: str, values: tuple[Any, ...]) -> Axis:
    """An axis of values.

    Raises
    ------
    ConfigError
        If there is none, or one is given twice.
    """
    said = [json.dumps(v) for v in values]
    if not values or len(set(said)) < len(said):
        raise ConfigError(f"{name} takes {', '.join(said) or 'no value'}: give each value once, and at least one")
    return Axis(name, values)


def grid_of(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Every combination of the axes' values, the last axis fastest."""
    return [dict(zip((a.name for a in axes), v, strict=True)) for v in product(*(a.values for a in axes))]


def label(variant: Variant) -> str:
    """A variant as a person reads it: its values, with their settings' names where there are several."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in variant.items()}
    return ", ".join(texts.values() if texts.keys() <= {TEMPORAL} else (f"{k}={v}" for k, v in texts.items()))


def folder_name(variant: Variant, seed: int) -> str:
    """The folder of a cell."""
    return re.sub(r"[^\w.+=-]+", "_", f"{label(variant)}_seed-{seed}")


def configs_of(
    modalities: Mapping[str, str], overrides: Overrides, variants: Sequence[Variant], seed: int, registry: Registry
) -> list[RunConfig]:
    """The config of every variant, with one seed.

    Raises
    ------
    ConfigError
        As `cell_config`, or if a setting varies that is also set, or two variants come to the same settings.
    """
    for name in dict.fromkeys(name for variant in variants for name in variant):
        for section, key in _places(name, modalities, registry):
            if key in overrides.get(section, {}):
                value = json.dumps(overrides[section][key])
                raise ConfigError(f"{section}.{key} varies, and is set to {value} as well; leave one of them out")
    configs = [cell_config(modalities, overrides, variant, seed, registry) for variant in variants]
    settled: list[dict[str, Any]] = []
    for variant, config in zip(variants, configs, strict=True):
        mine = _settled(config, registry)
        if mine in settled:
            alike = label(variants[settled.index(mine)])
            raise ConfigError(f"{alike} and {label(variant)} come to the same settings; leave one of them out")
        settled.append(mine)
    return configs


def _settled(config: RunConfig, registry: Registry) -> dict[str, Any]:
    """A config with the settings of its plugins as these take them."""
    taking = {kind: plugin for kind, plugin in config.modalities.items() if plugin != "none"}
    others = {kind: given for kind, given in config.settings.items() if kind not in config.modalities}
    taken = {k: registry.modality(p, **config.settings.get(k, {})).settings() for k, p in taking.items()}
    return config.model_dump(mode="json") | {"settings": others | taken}


def cell_config(
    modalities: Mapping[str, str], overrides: Overrides, variant: Variant, seed: int, registry: Registry
) -> RunConfig:
    """The config of a run with the settings of a variant.

    Raises
    ------
    ConfigError
        If a setting or a value cannot be, or no plugin that takes part has temporal modules.
    """
    settings = {section: dict(values) for section, values in overrides.items()}
    for name, value in variant.items():
        for section, key in _places(name, modalities, registry):
            settings.setdefault(section, {})[key] = value
    for kind, plugin in modalities.items():
        if plugin != "none":
            registry.modality(plugin, **settings.get(kind, {}))
    return build_config(dict(modalities), settings, seed=seed, plumbing=False)


def _places(name: str, modalities: Mapping[str, str], registry: Registry) -> list[tuple[str, str]]:
    """The sections and keys that an axis sets."""
    if name != TEMPORAL:
        section, _, key = name.partition(".")
        return [(section, key)]
    taking = {kind: plugin for kind, plugin in modalities.items() if plugin != "none"}
    found = [(k, TEMPORAL) for k, p in taking.items() if TEMPORAL in registry.modality_class(p).model_fields]
    if not found:
        raise ConfigError(
            f"none of {', '.join(taking.values())} has temporal modules; vary a setting (--vary SECTION.KEY=...)"
        )
    return found
