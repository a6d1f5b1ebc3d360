"""How much of the scans each modality explains: alone with nobody else's help, and shared with the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from giblet.analysis.baselines import banded_parts
from giblet.analysis.scores import Real
from giblet.types import Float, Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Explained variance (R2) of test TRs by voxel, [V].

    `full` is that of all modalities together; `split` adds up to it; `unique` is what is lost without a modality.
    """

    full: Real
    split: dict[str, Real]
    unique: dict[str, Real]


def split_scores(y: Float, parts: Float) -> Real:
    """Split the R2 of sum(parts) between the parts, by the product measure: y [T, V], parts [M, T, V] -> [M, V].

    Part i gets sum_t p_i (2 y - p) / sum_t y^2 with p = sum(parts) (Dupre la Tour et al. 2022,
    doi:10.1016/j.neuroimage.2022.119728); over parts they add up to 1 - sum (y - p)^2 / sum y^2. All are centred over
    the TRs first, for cleaning has taken the mean of the scans away. Voxels that do not vary get 0.
    """
    scan = np.asarray(y, np.float64)
    scan = scan - scan.mean(0)
    each = [np.asarray(p, np.float64) - p.mean(0, dtype=np.float64) for p in parts]
    rest = 2 * scan - sum(each)
    total = np.square(scan).sum(0)
    varies = total > 0
    return np.stack([np.where(varies, (p * rest).sum(0) / np.where(varies, total, 1), 0) for p in each])


def partition(bands: Mapping[str, Float], y: Float, progress: Progress = silent, **fit: Any) -> Shares:
    """Explained variance of y [T, V] at the TRs `rows` by each modality's band of regressors [T, P].

    A banded ridge on all modalities is split between them, and is refitted without each one, penalties and all: what it
    then explains less is unique to that modality. Noise can make that negative. `fit` is what `banded_parts` takes.
    """
    scan, steps = y[fit["rows"]], len(bands) + 1
    progress("explained variance", 0, steps)
    split = split_scores(scan, np.stack(list(banded_parts(bands, y, **fit).values())))
    full = split.sum(0)
    unique = {}
    for done, name in enumerate(bands, 1):
        progress("explained variance", done, steps)
        others = {n: x for n, x in bands.items() if n != name}
        unique[name] = full - split_scores(scan, np.stack(list(banded_parts(others, y, **fit).values()))).sum(0)
    progress("explained variance", steps, steps)
    return Shares(full, dict(zip(bands, split, strict=True)), unique)
