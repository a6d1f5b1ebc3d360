"""What a lesion takes away: the loss of each modality when a region's voxels say nothing of the moment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.decode import Change, Matrix, Reader

SOURCES = {"from_predicted": "noisy", "from_measured": "measured"}


def resample(mask: NDArray[np.bool_], seed: int) -> Change:
    """A lesion by resampling: the voxels of `mask` [V] take their values of another moment of the same block."""

    def change(subject: str, y: Matrix) -> Matrix:
        shift = int(np.random.default_rng([seed, len(y)]).integers(len(y) // 4, max(3 * len(y) // 4, len(y) // 4 + 1)))
        out = y.copy()
        out[:, mask] = np.roll(y[:, mask], shift, axis=0)
        return out

    return change


def lesion_table(reader: Reader, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, dict[str, dict[str, float]]]:
    """Lesioned minus intact relative loss on test blocks, `{region: {modality: {from_predicted, from_measured}}}`.

    Both loss and effect are of each person's own scan, averaged over people; "from_predicted" is the prediction plus a
    scan's noise, "from_measured" the scan.
    """
    return {name: _effects(reader, mask) for name, mask in regions.items()}


def _effects(reader: Reader, mask: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    change = resample(mask, reader.config.seed)
    found: dict[str, dict[str, list[float]]] = {}
    for i, block in reader.places():
        for subject in sorted(reader.timelines[i].scans):
            for source, condition in SOURCES.items():
                intact = reader.losses_of(reader.latent(condition, i, block, subject), i, block)
                hurt = reader.losses_of(reader.latent(condition, i, block, subject, change=change), i, block)
                for name in intact:
                    effects = (hurt[name] - intact[name]).tolist()
                    found.setdefault(name, {s: [] for s in SOURCES})[source] += effects
    return {n: {s: float(np.mean(v)) if v else float("nan") for s, v in by.items()} for n, by in found.items()}
