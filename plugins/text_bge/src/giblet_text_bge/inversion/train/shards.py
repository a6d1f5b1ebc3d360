"""Arrays of many rows that take long to make: kept in pieces, so that a stopped training goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from giblet.types import Progress
from numpy.typing import NDArray

ROWS = 2048


def in_shards(
    folder: Path, stage: str, n: int, make: Callable[[slice], NDArray[Any]], progress: Progress
) -> NDArray[Any]:
    """What `make` gives for all rows 0 to n, [n, ...]; pieces that are in the folder already are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, n, ROWS):
        progress(stage, start, n)
        path = folder / f"{start:09d}.npy"
        if not path.exists():
            write_whole(path, make(slice(start, min(start + ROWS, n))))
        parts.append(np.load(path))
    progress(stage, n, n)
    return np.concatenate(parts)


def write_whole(path: Path, array: NDArray[Any]) -> None:
    """Write an array, whole or not at all."""
    tmp = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with tmp.open("wb") as file:
            np.save(file, array)
        tmp.replace(path)
    finally:
        tmp.unlink(missing_ok=True)
