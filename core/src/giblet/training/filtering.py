"""What was seen, from what scans hold of it: the best linear filter where both are normal processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from giblet.training.small_matrices import one_thread

Real = NDArray[np.float64]
JITTER = 1e-6
"""Of the mean variance of scores, added to each: two that say the same are no trouble."""


@dataclass(frozen=True)
class Cause:
    """One modality's features, as a process: variances [Q], and what of them is left a TR later.

    Scores hold them under R responses, `kernels` [R, L], each with weights `into` [R, Q, S].
    """

    variance: Real
    memory: float
    kernels: Real
    into: Real


@dataclass(frozen=True)
class Noise:
    """What else scores hold: its covariance [S, S], and what of it is left a TR later."""

    covariance: Real
    memory: float


def filters(causes: Mapping[str, Cause], noise: Noise, lags: NDArray[np.int64]) -> dict[str, Real]:
    """Weights {name: [L S, Q]} with which scores at some lags from a TR give the expectation of its features.

    A Wiener filter ("Extrapolation, Interpolation, and Smoothing of Stationary Time Series", 1949): the inverse of the
    covariance of scores, from all causes and noise together, times that of scores with a modality's features. Both
    follow from how scans are predicted: there is no regression from scans to films, whose pairs are few and noisy.
    Features are taken for processes whose memory falls off exponentially, those of one cause independent of another's.
    """
    n, size = len(lags), len(noise.covariance)
    later = lags[None] - lags[:, None]
    whole = noise.memory ** np.abs(later)[..., None, None] * noise.covariance
    crossed: dict[str, Real] = {}
    for name, cause in causes.items():
        behind = np.arange(cause.kernels.shape[1])
        weighed = cause.variance[:, None] * cause.into  # [R, Q, S]
        within = np.einsum("rqs,pqz->rpsz", cause.into, weighed)
        apart = later[..., None, None] + behind[:, None] - behind
        inner = np.einsum("ri,abij,pj->abrp", cause.kernels, cause.memory ** np.abs(apart), cause.kernels)
        whole = whole + np.einsum("abrp,rpsz->absz", inner, within)
        across = cause.kernels @ (cause.memory ** np.abs(lags - behind[:, None]))  # [R, lags]
        crossed[name] = np.einsum("ra,rqs->asq", across, weighed).reshape(n * size, -1)
    square = whole.transpose(0, 2, 1, 3).reshape(n * size, n * size)
    square[np.diag_indices_from(square)] += max(JITTER * float(np.trace(square)) / len(square), np.finfo(float).tiny)
    with one_thread():
        return {name: np.linalg.solve(square, cross) for name, cross in crossed.items()}
