"""How far to trust what is read from a scan: noisy guesses, shrunk to the best multiples of themselves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def best_multiple(guess: Tensor, target: Tensor) -> float:
    """The factor c >= 0 that makes c * guess nearest to the target in squared error: <guess, target> / <guess, guess>.

    A guess that knows nothing gives 0, which is the training mean of a standardised code; so c * guess is never worse
    than that constant on the data it was fitted on. This is the slope of a regression through the origin
    (calibration slope: Copas 1983, doi:10.1111/j.2517-6161.1983.tb01258.x).
    """
    size = float(guess.square().sum())
    return max(0.0, float((guess * target).sum()) / size) if size > 0 else 0.0


def best_multiples(one: Tensor, other: Tensor, target: Tensor) -> tuple[float, float]:
    """The factors a, b >= 0 that make a * one + b * other nearest to the target in squared error.

    Where the best of all would subtract a guess, that is left out: the best of the rest is on the edge (Lawson &
    Hanson 1974, ch. 23, doi:10.1137/1.9781611971217).
    """
    gg, hh, gh, gt, ht = products(one, other, target).tolist()
    det = gg * hh - gh**2
    if det > 1e-12 * gg * hh:
        a, b = (gt * hh - ht * gh) / det, (ht * gg - gt * gh) / det
        if a >= 0 and b >= 0:
            return a, b
    alone = (max(0.0, gt / gg) if gg > 0 else 0.0), (max(0.0, ht / hh) if hh > 0 else 0.0)
    return (alone[0], 0.0) if alone[0] * gt >= alone[1] * ht else (0.0, alone[1])


def products(one: Tensor, other: Tensor, target: Tensor) -> Tensor:
    """All that factors of two guesses of a target depend on, [5]; those of parts add up to the whole's."""
    g, h, t = (x.double().flatten() for x in (one, other, target))
    return torch.stack([g @ g, h @ h, g @ h, g @ t, h @ t])


class Shrinkage(nn.Module):
    """A factor for every column of each modality's code, 1 until it is fitted: {name: [.., W]} -> {name: [.., W]}."""

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        for name, width in widths.items():
            self.register_buffer(f"of_{name}", torch.ones(width))

    def forward(self, codes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """{name: [.., W]}."""
        return {n: code * self.get_buffer(f"of_{n}") for n, code in codes.items()}

    def put(self, name: str, factors: Tensor) -> None:
        """Set the factors of a modality's columns, [W]."""
        self.get_buffer(f"of_{name}").copy_(factors)


def calibrated_loss(guess: Tensor, target: Tensor) -> float:
    """Squared error of the best multiple of a guess, over that of the constant 0: at most 1, and 1 if there is none."""
    constant = float(target.square().sum())
    error = float((best_multiple(guess, target) * guess - target).square().sum())
    return error / constant if constant > 0 else 1.0
