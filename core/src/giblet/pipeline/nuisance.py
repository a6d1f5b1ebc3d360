"""What moves scans beside the brain: read for everybody before anything is cleaned, and made into regressors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.brain import BrainModality
from giblet.data.dataset import Timeline
from giblet.data.study import Scan
from giblet.errors import DataError
from giblet.types import Nuisance, Source

Bases = Mapping[tuple[int, int], NDArray[np.float32]]
"""What leaves a block, [n, K], by its start and stop."""
LEAST = 1e-6
"""What is left of regressors of unit norm below this is rounding."""
MOST_CENSORED = 0.5
"""Of a scan with more volumes to leave out than this share, too little is left to be cleaned."""


def read_nuisances(brain: BrainModality, scans: Sequence[Scan]) -> list[Nuisance | None]:
    """The confounds of each scan, None where it has none to take out.

    Raises
    ------
    DataError
        One line that names each subject whose confounds are missing, broken or of another length, and the way out.
    """
    found: list[Nuisance | None] = []
    problems: dict[str, list[str]] = {}
    for scan in scans:
        try:
            found.append(nuisance_of(brain, scan.source(), scan.n_volumes))
        except DataError as error:
            problems.setdefault(scan.subject, []).append(str(error))
    if problems:
        told = ". ".join(f"subject {s}: {'; '.join(p)}" for s, p in problems.items())
        raise DataError(f"{told}. Repair them, or leave out with " + " ".join(f"--exclude {s}" for s in problems))
    return found


def nuisance_of(brain: BrainModality, source: Source, n_volumes: int) -> Nuisance | None:
    """The confounds of one scan of so many volumes, None where it has none to take out.

    Raises
    ------
    DataError
        If they are missing, broken, or of another length, or leave too few volumes.
    """
    found = brain.nuisance(source)
    if found is None:
        return None
    if (rows := len(found.regressors)) != n_volumes:
        raise DataError(
            f"{source.scan.confounds} has {rows} rows, {source.path.name} {n_volumes} volumes; give its table"
        )
    if (n := int(found.censored.sum())) > MOST_CENSORED * n_volumes:
        raise DataError(f"{n} of {n_volumes} volumes of {source.path.name} are to be left out; too few stay")
    return found


def confound_bases(brain: BrainModality, t: Timeline, found: Nuisance) -> Bases:
    """What confounds take out of each block [n, K] beyond what cleaning without them does, as orthonormal columns.

    After the scan's last volume they are 0: a short scan is cleaned as far as it goes.
    """
    x, _ = regressors(found, t.grid.n_trs)
    return {(b.start, b.stop): _basis(brain, x[b.trs], len(found.regressors) - b.start, t) for b in t.blocks}


def _basis(brain: BrainModality, x: NDArray[np.float64], measured: int, t: Timeline) -> NDArray[np.float32]:
    """Orthonormal columns [n, K] for the regressors of a block [n, C], its first volumes `measured`."""
    part = x[: max(measured, 0)]
    if not len(part):
        return np.zeros((len(x), 0), np.float32)
    part = part - part.mean(0)
    size = np.linalg.norm(part, axis=0)
    left = brain.clean(part[:, size > 0] / size[size > 0], [slice(0, len(part))], float(t.grid.tr_s))
    u, s, _ = np.linalg.svd(left, full_matrices=False)
    return np.pad(u[:, s > LEAST], ((0, len(x) - len(u)), (0, 0))).astype(np.float32)


def average_bases(bases: Mapping[str, Bases], there: Mapping[str, NDArray[np.bool_]]) -> Bases:
    """V [n, K] of each block for the mean of all people, of whom `there` [T] were measured.

    x - V V'x is the mean over people of x without their confounds; it is so exactly where all of them were measured.
    """
    n = np.maximum(np.sum(list(there.values()), axis=0), 1)
    root = {s: np.sqrt(there[s] / n).astype(np.float32) for s in bases}
    blocks = next(iter(bases.values()), {})
    return {b: np.concatenate([root[s][slice(*b), None] * v[b] for s, v in bases.items()], axis=1) for b in blocks}


def regressors(found: Nuisance, n_trs: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Regressors [n_trs, C + censored] and which TRs are censored, [n_trs]: volume k is TR k, none after the last is.

    Each censored volume has a regressor of its own: to fit it exactly is to leave it out of the regression.
    """
    x = np.zeros((n_trs, found.regressors.shape[1]))
    censored = np.zeros(n_trs, bool)
    n = min(n_trs, len(found.regressors))
    censored[:n] = found.censored[:n]
    x[:n] = np.where(censored[:n, None], 0, found.regressors[:n])
    return np.concatenate([x, np.eye(n_trs)[:, censored]], axis=1), censored
