"""Few patterns that all scans predicted in closed form are made of."""

from __future__ import annotations

import numpy as np
import torch

from giblet.model.encoding import RANK
from giblet.training.encoding import EncodingFit
from giblet.training.small_matrices import FAINT, leading
from giblet.types import Progress


def put_patterns(fit: EncodingFit, own: float, progress: Progress) -> None:
    """Keep the main components of all predicted scans, person by person side by side, and what makes them.

    Weights of some voxels say which components those are; then all are made, some at a time.
    """
    encoding = fit.encoding
    designs = [fit.designs.some_rows(k) for k in range(len(fit.designs.subjects))]
    alike = np.zeros((len(designs[0]),) * 2)
    for group in fit.groups:
        for k, weights_of in fit.weights(group, group.some):
            guess = designs[k] @ weights_of(own)
            alike += guess @ guess.T * (group.voxels / guess.shape[1])
    values, axes = leading(alike, RANK)
    along = (axes / np.sqrt(values)).astype(np.float32)
    into = [along.T @ design for design in designs]
    basis, inner = np.zeros((designs[0].shape[1], RANK)), np.zeros((RANK, RANK))
    slabs = [(group, voxels) for group in fit.groups for voxels in group.slabs]
    for done, (group, slab) in enumerate(slabs):
        progress("trunk in closed form", done, len(slabs))
        for k, weights_of in fit.weights(group, slab):
            weights = weights_of(own)
            patterns = np.zeros((RANK, len(slab)), np.float32)
            patterns[: along.shape[1]] = into[k] @ weights
            basis += weights @ patterns.T
            inner += patterns @ patterns.T
            encoding.get_buffer(f"voxels_{k}")[:, slab[0] : slab[-1] + 1] = torch.from_numpy(patterns)
    encoding.put("basis", torch.from_numpy(basis @ np.linalg.pinv(inner, rcond=FAINT, hermitian=True)))
    progress("trunk in closed form", len(slabs), len(slabs))
