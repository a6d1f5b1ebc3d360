"""giblet: films, brains and back."""

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
