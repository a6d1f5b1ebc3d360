"""How much two predictions count together, as far as what is held out can say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

HALF = np.array([0.5, 0.5])
SPREAD = 0.15
"""SD of the prior around half each."""
FEWEST = 5
"""So few stretches cannot say how much two slopes differ."""
ROUNDS, LEAST = 3, 1e-9
"""So often errors are taken with what was found; slopes differ by at least that share of the guesses' size."""


def stacked(stretches: NDArray[np.float64]) -> tuple[float, float]:
    """The factors a, b >= 0 of two guesses whose sum is nearest to what was measured; half each if little is said.

    `stretches` [n, 5] are their `giblet.model.shrinkage.products` over n stretches of time. The factors have the least
    squared error under a normal prior around half each. How far errors can say is taken from how much their slopes
    differ from stretch to stretch (a sandwich: White 1980, doi:10.2307/1912934): many voxels with one noise say little.
    A covariance of few stretches is too sure of itself, by (n - 1) / (n - 4) in what is made of its inverse.
    """
    n, (gg, hh, gh, gt, ht) = len(stretches), stretches.T
    alike, along = np.array([[gg, gh], [gh, hh]]), np.array([gt, ht])
    least, found = max(LEAST * float(gg.sum() + hh.sum()), np.finfo(float).tiny ** 0.5), HALF
    for _ in range(ROUNDS if n >= FEWEST else 0):
        slopes = along - np.einsum("ijn,j->in", alike, found)
        values, axes = np.linalg.eigh(np.cov(slopes) * n * (n - 1) / (n - 4))
        into = axes.T / np.sqrt(values.clip(least**2))[:, None]
        design = np.concatenate([into @ alike.sum(-1), np.eye(2) / SPREAD])
        found = nnls(design, np.concatenate([into @ along.sum(-1), HALF / SPREAD]))[0]
    return float(found[0]), float(found[1])
