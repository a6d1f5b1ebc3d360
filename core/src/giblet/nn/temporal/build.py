"""Temporal modules by name: what a plugin puts between its frames and its code."""

from __future__ import annotations

from typing import get_args

from torch import Tensor, nn

from giblet.errors import ConfigError, did_you_mean
from giblet.nn.temporal.hierarchical import Hierarchical
from giblet.nn.temporal.multiscale import MultiScale
from giblet.nn.temporal.pooling import Mean
from giblet.types import TemporalModule


class Temporal(nn.Module):
    """[n, F, D], [n, F] -> [n, D]: frames refined by each other, where a module does that, then pooled."""

    def __init__(self, refine: nn.Module | None, pool: nn.Module) -> None:
        super().__init__()
        self.refine, self.pool = refine, pool

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D], [n, F] -> [n, D]; row t depends on row t alone, absent frames on nothing."""
        if self.refine is not None:
            x = self.refine(x, mask)
        return self.pool(x, mask)


def build_temporal(name: str, width: int, tr_s: float | None = None) -> nn.Module:
    """The module that pools the frames of one TR: `forward(x [n, F, D], mask [n, F]) -> [n, D]`, D = `width`.

    `mean` | `multiscale` | `hierarchical` | `multiscale+hierarchical`; `tr_s` is `FeatureSpec.tr_s`, which the
    hierarchy needs for its parts of 200 ms.

    Raises
    ------
    ConfigError
        If there is no such module, or a hierarchy is not told how long a TR is.
    """
    legal = get_args(TemporalModule)
    if name not in legal:
        raise ConfigError(f"no temporal module {name!r}; {did_you_mean(name, legal)}")
    parts = name.split("+")
    return Temporal(
        MultiScale(width) if "multiscale" in parts else None,
        Hierarchical(width, _known(tr_s)) if "hierarchical" in parts else Mean(),
    )


def _known(tr_s: float | None) -> float:
    if tr_s is None:
        raise ConfigError("temporal=hierarchical needs the length of a TR; give FeatureSpec its tr_s")
    return tr_s
