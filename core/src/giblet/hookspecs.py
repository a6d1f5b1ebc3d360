"""The contract between giblet and its plugins: what a plugin registers, and the five stages that pluggy routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from torch import nn

    from giblet.modality import Modality
    from giblet.types import Aligned, Features, FeatureSpec, Source, TRGrid

hookspec = pluggy.HookspecMarker("giblet")
hookimpl = pluggy.HookimplMarker("giblet")


@hookspec
def register_modalities() -> Iterable[type[Modality]] | None:
    """Return the Modality classes that this plugin provides. The only hook that most plugins implement."""


@hookspec(firstresult=True)
def extract(modality: Modality, source: Source) -> Iterator[Features] | Features | None:
    """Turn one stream of a file into native-rate features. Wrap it to see, time or change what is extracted."""


@hookspec(firstresult=True)
def align(modality: Modality, features: Features, grid: TRGrid) -> Aligned | None:
    """Put native-rate features on the TR grid, losing and doubling no sample. Wrap it to see or change the result."""


@hookspec(firstresult=True)
def encode(modality: Modality, spec: FeatureSpec, width: int) -> nn.Module | None:
    """Build the module from one TR of features and its mask, `[n, F, *S], [n, F]`, to `[n, width]`."""


@hookspec(firstresult=True)
def decode(modality: Modality, spec: FeatureSpec, width: int) -> nn.Module | None:
    """Build the module from `[n, width]` back to one TR of features (logits last where they are discrete)."""


@hookspec(firstresult=True)
def reconstruct(modality: Modality, features: Features, out: Path) -> Path | None:
    """Write features as a file that a person can play or open, at `out` plus a suffix of its kind; return its path."""
