"""Units of brain space that are learned from training volumes: principal components, and a shared response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from giblet.types import Array
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Masks = Mapping[str, NDArray[np.bool_]]
LEAST_ROWS = 512
COLUMNS_AT_ONCE = 8192
ROUNDS = 3
ROUNDING = 1e-10  # a component below this share of the largest one's power is rounding


def principal_components(scans: Iterable[Array], units: int) -> Matrix:
    """The leading components [K, V] of volumes [N, V], unit rows, the largest first; K is `units` or the rank.

    Volumes are not centred: cleaning has left every block with a mean of 0. They come piece by piece, and only twice K
    rows are ever held; each piece is joined to what the K components so far explain (Ross et al. 2008,
    doi:10.1007/s11263-007-0075-7), which loses nothing where the rank of all is at most K.
    """
    held: Matrix | None = None
    for piece in (p for scan in scans for p in _pieces(scan, max(units, LEAST_ROWS))):
        held = _leading(piece if held is None else np.concatenate([held, piece]), units)
    assert held is not None
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    largest = held[np.arange(len(held)), np.abs(held).argmax(1)]
    return np.asarray(held * np.sign(largest)[:, None], np.float32)


def _pieces(scan: Array, rows: int) -> Iterator[Matrix]:
    for first in range(0, len(scan), rows):
        yield np.asarray(scan[first : first + rows], np.float32)


def _leading(x: Matrix, units: int) -> Matrix:
    """What the leading components explain of [N, V], as [K, V] with orthogonal rows."""
    power, vectors = np.linalg.eigh(_gram(x))
    keep = np.flatnonzero(power > ROUNDING * power[-1])[::-1][:units]
    return np.asarray(vectors[:, keep].T.astype(np.float32) @ x, np.float32)


def _gram(x: Matrix) -> NDArray[np.float64]:
    """Products of the rows, [N, N], without a copy of [N, V] in double precision."""
    gram = np.zeros((len(x), len(x)))
    for first in range(0, x.shape[1], COLUMNS_AT_ONCE):
        part = x[:, first : first + COLUMNS_AT_ONCE].astype(np.float64)
        gram += part @ part.T
    return gram


def shared_response(scans: Mapping[str, Array], there: Masks, units: int, iterations: int) -> dict[str, Matrix]:
    """Each person's basis [V, K] by the deterministic Shared Response Model.

    It minimises the sum over people of |X - S W'|^2, W'W = 1, for scans X [T, V] on one clock (Chen et al. 2015, "A
    reduced-dimension fMRI shared response model", eq. 1): in turns the bases given the shared response S [T, K], and S
    as the mean of X W over those who were measured at a TR (`there` [T]). It begins with the directions in time that
    hold most of everybody's power, for from random bases ten rounds do not always arrive.
    """
    shared = _strongest(scans, there, units)
    bases: dict[str, Matrix] = {}
    for _ in range(iterations):
        bases = {s: basis_of(scans[s][there[s]], shared[there[s]]) for s in scans}
        shared = mean_response(scans, there, bases)
    return bases


def _strongest(scans: Mapping[str, Array], there: Masks, units: int) -> Matrix:
    """Leading eigenvectors [T, K] of the sum of X X', by a few rounds of subspace iteration."""
    volumes = len(next(iter(there.values())))
    found = np.linalg.qr(np.random.default_rng(0).standard_normal((volumes, units)))[0].astype(np.float32)
    for _ in range(ROUNDS):
        total = sum(scans[s] @ (scans[s].T @ found) for s in scans)
        found = np.asarray(np.linalg.qr(total)[0], np.float32)
    return found


def mean_response(scans: Mapping[str, Array], there: Masks, bases: Mapping[str, Matrix]) -> Matrix:
    """The shared response [T, K]: the mean of X W over those who were measured at each TR; 0 where nobody was."""
    total = sum((scans[s] @ bases[s]) * there[s][:, None] for s in scans)
    n = sum(there[s].astype(np.float32) for s in scans)
    return np.asarray(total / np.maximum(n, 1)[:, None], np.float32)


def basis_of(scan: Array, shared: Array) -> Matrix:
    """The basis W [V, K] of one person that is nearest to a shared response [T, K], W'W = 1, from a scan [T, V].

    With the shared response of others it is that of a person who was left out (an orthogonal Procrustes problem,
    Schoenemann 1966, doi:10.1007/BF02289451).
    """
    return nearest_orthonormal(scan.T @ shared)


def nearest_orthonormal(x: Array) -> Matrix:
    """The matrix with orthonormal columns that is nearest to [V, K]."""
    u, _, v = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    return np.asarray(u @ v, np.float32)
