"""Which features brains respond to, as the weights of all voxels tell together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from giblet.model.encoding import FEATURES, Likeness
from giblet.training.evidence import Real, Single
from giblet.training.small_matrices import one_thread

WIDTH = 4.0
"""Of the likeness of TRs (`fit_likeness`): narrower than where nothing tells which of its bends matter."""
ROUNDS = 2
"""So often it is learned, each time under the last: a third time changes nothing."""


def told(voxels: int) -> float:
    """How far so many voxels tell which features matter: as far as beside `FEATURES` more that weigh all alike.

    So an inverse Wishart prior would have it. 0 where there are fewer voxels than features: what six regions told of
    a story made its prediction worse (r 0.41 to 0.37).
    """
    return voxels / (voxels + FEATURES) if voxels >= FEATURES else 0.0


def alike(weights: Single) -> Real:
    """How weights of features [R, M, F, V] go together in some voxels, [M, F, F]."""
    return np.asarray((weights @ weights.mT).sum(0), np.float64)


def square_root(found: Real, learned: float) -> Real:
    """The root of the covariance [F, F] that weights seem to be drawn from which go together as `found`, of trace F.

    Voxels that respond to the same have weights alike, so what few TRs say of each is learned from all (multi-task
    feature learning: Argyriou et al. 2008, doi:10.1007/s10994-007-5040-8). So much of it is `learned`, the rest alike
    for all features; the identity where nothing is weighed.
    """
    even, size = np.eye(len(found)), float(np.trace(found)) / len(found)
    with one_thread():
        values, axes = np.linalg.eigh((1 - learned) * even + learned * found / size if size else even)
    return np.asarray((axes * np.sqrt(values)) @ axes.T)


def turn_to(like: Likeness, root: Real, rows: Tensor) -> None:
    """Let unit weights stand for such ones: features, `rows` of them [n, F], go through `root`, as large in all."""
    into = torch.from_numpy(root).to(rows)
    size = float(rows.square().sum() / (rows @ into).square().sum().clamp_min(torch.finfo(rows.dtype).tiny)) ** 0.5
    for name in ("basis", "offset"):
        buffer = like.get_buffer(name)
        buffer.copy_(buffer @ (into * size).to(buffer))
