"""Made-up scans of people who share a response, from numpy's own generator: the same everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEOPLE, VOXELS, FEATURES, TRAIN, TEST = 8, 300, 10, 300, 150
Scans = list[NDArray[np.float64]]


def made_scans(seed: int) -> tuple[Scans, Scans]:
    """Training and test scans [T, V] of everybody: a smooth response in each one's own basis, and noise.

    Columns are z-scored by their training TRs, as giblet's scans are.
    """
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((TRAIN + TEST + 8, FEATURES))
    shared = np.stack([white[k : k + TRAIN + TEST] for k in range(8)]).mean(0) * np.sqrt(8)
    train, test = [], []
    for _ in range(PEOPLE):
        basis = np.linalg.qr(rng.standard_normal((VOXELS, FEATURES)))[0] * np.sqrt(VOXELS / FEATURES)
        y = shared @ basis.T + 2.5 * rng.standard_normal((TRAIN + TEST, VOXELS))
        y = (y - y[:TRAIN].mean(0)) / y[:TRAIN].std(0)
        train.append(y[:TRAIN])
        test.append(y[TRAIN:])
    return train, test


def agreement(mine: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Correlate two responses [T, K] over all TRs and features at once: however features are turned, this stays."""
    return float((mine * others).sum() / np.sqrt(np.square(mine).sum() * np.square(others).sum()))


def held_out_r(responses: Scans) -> float:
    """Mean over people of the agreement with the mean of the others, of responses [T, K] in the shared space."""
    total = np.sum(responses, 0)
    return float(np.mean([agreement(mine, (total - mine) / (len(responses) - 1)) for mine in responses]))
