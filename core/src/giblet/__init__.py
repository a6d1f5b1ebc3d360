"""giblet: films, brains and back."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from giblet.errors import ConfigError, DataError, GibletError, PluginError, WeightsError
    from giblet.hookspecs import hookimpl
    from giblet.modality import Modality
    from giblet.types import Aligned, Features, FeatureSpec, Source, TRGrid, seconds

__all__ = [
    "Aligned",
    "ConfigError",
    "DataError",
    "FeatureSpec",
    "Features",
    "GibletError",
    "Modality",
    "PluginError",
    "Source",
    "TRGrid",
    "WeightsError",
    "hookimpl",
    "seconds",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `giblet --help` pays for none of them."""
    for module in ("errors", "hookspecs", "modality", "types") if name in __all__ else ():
        found = vars(import_module(f"giblet.{module}")).get(name)
        if found is not None:
            globals()[name] = found
            return found
    raise AttributeError(f"module 'giblet' has no attribute {name!r}")
