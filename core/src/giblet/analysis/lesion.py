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

    "from_predicted" is read from the prediction plus a scan's noise, "from_measured" from the scan; the latents that
    everybody's scans give are averaged before decoding.
    """
    table: dict[str, dict[str, dict[str, float]]] = {name: {} for name in regions}
    for source, condition in SOURCES.items():
        intact = _mean_losses(reader, condition, None)
        for name, mask in regions.items():
            hurt = _mean_losses(reader, condition, resample(mask, reader.config.seed))
            for key, loss in hurt.items():
                table[name].setdefault(key, {})[source] = loss - intact[key]
    return table


def _mean_losses(reader: Reader, condition: str, change: Change | None) -> dict[str, float]:
    """Mean relative loss of each modality over the test TRs that have it."""
    found: dict[str, list[float]] = {}
    for i, block in reader.places():
        z = reader.group_latent(condition, i, block, change)
        for key, loss in reader.losses_of(z, i, block).items():
            found.setdefault(key, []).extend(loss.tolist())
    return {key: float(np.mean(loss)) if loss else float("nan") for key, loss in found.items()}
