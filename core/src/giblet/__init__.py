"""giblet: films, brains and back."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from giblet.api.ablation import Ablated, ablate
    from giblet.api.extracted import Extracted
    from giblet.api.extracting import ExtractedItem, extract_many
    from giblet.api.fitting import extract, fit
    from giblet.api.inspecting import Inspected, inspect_study
    from giblet.api.listing import PluginInfo, list_plugins
    from giblet.api.results import Decoding, Lesion, Prediction
    from giblet.api.run import Run, open_run
    from giblet.api.studies import demo_study, load_study, study_from_bids, study_from_files
    from giblet.api.training import train
    from giblet.data.study import Study
    from giblet.errors import ConfigError, DataError, GibletError, PluginError, WeightsError
    from giblet.hookspecs import hookimpl
    from giblet.modality import Modality
    from giblet.types import Aligned, Features, FeatureSpec, Nuisance, ScanFiles, Source, TRGrid, seconds

__all__ = [
    "Ablated",
    "Aligned",
    "ConfigError",
    "DataError",
    "Decoding",
    "Extracted",
    "ExtractedItem",
    "FeatureSpec",
    "Features",
    "GibletError",
    "Inspected",
    "Lesion",
    "Modality",
    "Nuisance",
    "PluginError",
    "PluginInfo",
    "Prediction",
    "Run",
    "ScanFiles",
    "Source",
    "Study",
    "TRGrid",
    "WeightsError",
    "ablate",
    "demo_study",
    "extract",
    "extract_many",
    "fit",
    "hookimpl",
    "inspect_study",
    "list_plugins",
    "load_study",
    "open_run",
    "seconds",
    "study_from_bids",
    "study_from_files",
    "train",
]

_PLACES = {
    "api.ablation": ("Ablated", "ablate"),
    "api.extracted": ("Extracted",),
    "api.extracting": ("ExtractedItem", "extract_many"),
    "api.fitting": ("extract", "fit"),
    "api.inspecting": ("Inspected", "inspect_study"),
    "api.listing": ("PluginInfo", "list_plugins"),
    "api.results": ("Decoding", "Lesion", "Prediction"),
    "api.run": ("Run", "open_run"),
    "api.studies": ("demo_study", "load_study", "study_from_bids", "study_from_files"),
    "api.training": ("train",),
    "data.study": ("Study",),
    "errors": ("ConfigError", "DataError", "GibletError", "PluginError", "WeightsError"),
    "hookspecs": ("hookimpl",),
    "modality": ("Modality",),
    "types": ("Aligned", "FeatureSpec", "Features", "Nuisance", "ScanFiles", "Source", "TRGrid", "seconds"),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that `giblet --help` pays for none of them."""
    for module, names in _PLACES.items():
        if name in names:
            globals()[name] = found = getattr(import_module(f"giblet.{module}"), name)
            return found
    raise AttributeError(f"module 'giblet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
