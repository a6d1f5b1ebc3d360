"""Arrays that need not fit in memory: rows in a file without a name, which goes away with the last who reads it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from giblet.data.feature_files import on_disk
from giblet.folders import cache_folder

Matrix = NDArray[np.float32]
SLAB_BYTES = 64 << 20
"""What is worked on at once of an array that is larger than this."""


def row_slabs(rows: int, width: int) -> Iterator[slice]:
    """Successive rows of a matrix [rows, width] of float32, as many at once as `SLAB_BYTES` holds."""
    step = max(1, SLAB_BYTES // (4 * max(1, width)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def on_scratch(pieces: Iterable[Matrix]) -> Matrix:
    """Rows that come in pieces [n, V], one below the other [N, V]: on the disk, and in memory only where they are read.

    The file lies in the folder of the cache and has no name: a killed process leaves nothing behind.

    Raises
    ------
    GibletError
        If the disk is full or the folder cannot be written.
    """
    folder, rows, width = cache_folder(), 0, 0
    with _nameless(folder) as file:
        for piece in pieces:
            with on_disk(folder):
                put(file, piece)
            rows, width = rows + len(piece), piece.shape[1]
        if not rows * width:
            return np.zeros((rows, width), np.float32)  # nothing cannot be mapped
        return np.asarray(np.memmap(file, np.float32, "r+", shape=(rows, width)))


def _nameless(folder: Path) -> IO[bytes]:
    with on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder, buffering=0)


def put(file: IO[bytes] | FileIO, rows: Matrix) -> None:
    """Write all of an array to a file without a buffer: what does not fit is an error here, not when it is closed."""
    left = np.ascontiguousarray(rows, np.float32).reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]


def parts_of(whole: Matrix, lengths: Sequence[int]) -> list[Matrix]:
    """The pieces of so many rows each that a matrix was made of; nothing is copied."""
    stops = list(accumulate(lengths))
    return [whole[stop - n : stop] for n, stop in zip(lengths, stops, strict=True)]
