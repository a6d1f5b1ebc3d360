"""The five stages, typed: call the hook, so that wrappers see it, and check what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from giblet.errors import PluginError
from giblet.types import Aligned, Features, FeatureSpec, Source, TRGrid

if TYPE_CHECKING:
    from torch import nn

    from giblet.modality import Modality
    from giblet.plugins import Registry

T = TypeVar("T")


def extract(registry: Registry, modality: Modality, source: Source) -> Features:
    """Native-rate features of one source, all of them (memory-mapped where a store answered).

    Raises
    ------
    PluginError
        If the stage gave something other than features.
    DataError
        If the stream is empty.
    """
    result = registry.pm.hook.extract(modality=modality, source=source)
    if isinstance(result, Iterator):
        result = Features.concat(result)
    return _is(result, Features, modality, "extract")


def align(registry: Registry, modality: Modality, features: Features, grid: TRGrid) -> Aligned:
    """Features on the TR grid.

    Raises
    ------
    PluginError
        If the stage gave something else, another number of TRs than the grid has, or samples that are not there.
    """
    made = registry.pm.hook.align(modality=modality, features=features, grid=grid)
    result = _is(made, Aligned, modality, "align")
    if not len(result.first) == len(result.count) == grid.n_trs:
        raise PluginError(f"{modality.name}: align gave {len(result.first)} TRs for a grid of {grid.n_trs}")
    samples, kept = len(result.features.values), result.kept
    beyond = result.first + result.count > (samples if kept is None else len(kept))
    if np.any(beyond, where=result.count > 0) or (kept is not None and np.any(kept >= samples)):
        raise PluginError(f"{modality.name}: align points to samples after the last one")
    return result


def encode(registry: Registry, modality: Modality, spec: FeatureSpec, width: int) -> nn.Module:
    """The module from one TR of features to its code, `[n, F, *S], [n, F] -> [n, width]`."""
    from torch import nn

    return _is(registry.pm.hook.encode(modality=modality, spec=spec, width=width), nn.Module, modality, "encode")


def decode(registry: Registry, modality: Modality, spec: FeatureSpec, width: int) -> nn.Module:
    """The module from a code back to one TR of features, `[n, width] -> [n, F, *S]`."""
    from torch import nn

    return _is(registry.pm.hook.decode(modality=modality, spec=spec, width=width), nn.Module, modality, "decode")


def reconstruct(registry: Registry, modality: Modality, features: Features, out: Path) -> Path:
    """The file that was written from the features.

    Raises
    ------
    PluginError
        If the stage named no file, or one that is not there.
    """
    made = registry.pm.hook.reconstruct(modality=modality, features=features, out=out)
    path = _is(made, Path, modality, "reconstruct")
    if not path.exists():
        raise PluginError(f"{modality.name}: reconstruct said that it wrote {path.name}, but there is no such file")
    return path


def _is(value: object, expected: type[T], modality: Modality, stage: str) -> T:
    if not isinstance(value, expected):
        raise PluginError(f"{modality.name}: {stage} must give {expected.__name__}, not {type(value).__name__}")
    return value
