"""A person's cleaned scans as a folder: one memory-mapped array of all runs, there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from giblet.data.feature_files import SIDECAR, appearing, is_written, mark_used, on_disk, sync
from giblet.data.scratch import parts_of, put
from giblet.errors import DataError

Matrix = NDArray[np.float32]
FLOAT32 = npy.dtype_to_descr(np.dtype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class CleanScans:
    """One person's scans: `runs` [T, V] each, on the disk, and the SDs that they were divided by, `sd` [V]."""

    runs: list[Matrix]
    sd: Matrix


def read_scans(folder: Path, lengths: Sequence[int]) -> CleanScans | None:
    """The scans of runs of so many TRs that `write_scans` wrote, read-only; None where there are none.

    Raises
    ------
    DataError
        If the folder was damaged since.
    """
    if not is_written(folder):
        return None
    mark_used(folder)
    try:
        whole = np.asarray(np.load(folder / "values.npy", mmap_mode="r"))
        return CleanScans(parts_of(whole, lengths), np.load(folder / "sd.npy"))
    except (OSError, ValueError):
        raise DataError(f"the cleaned scans in {folder} are damaged; delete that folder, they are made again") from None


def write_scans(folder: Path, slabs: Iterable[tuple[Matrix, Matrix]], shape: tuple[int, int], label: str) -> None:
    """Write a matrix of `shape` [N, V] that comes in slabs of columns, [N, n] each, with the SDs of those, [n].

    Only a slab is ever in memory. The folder appears when everything is on disk; what another process wrote stays.

    Raises
    ------
    GibletError
        If the disk is full or the folder cannot be written.
    """
    sds: list[Matrix] = []
    with appearing(folder) as tmp:
        with (tmp / "values.npy").open("wb", buffering=0) as file:
            with on_disk(folder.parent):
                npy.write_array_header_1_0(file, {"descr": FLOAT32, "fortran_order": False, "shape": shape})
            begin = file.tell()
            for values, sd in slabs:
                with on_disk(folder.parent):
                    _put_columns(file, begin + 4 * sum(map(len, sds)), values, shape[1])
                sds.append(sd)
            with on_disk(folder.parent):
                sync(file)
        with on_disk(folder.parent):
            _write(tmp / "sd.npy", _npy(np.concatenate(sds)))
            _write(tmp / SIDECAR, json.dumps({"label": label}).encode())


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        sync(file)


def _npy(array: Matrix) -> bytes:
    made = BytesIO()
    np.save(made, array)
    return made.getvalue()


def _put_columns(file: FileIO, begin: int, values: Matrix, width: int) -> None:
    """Write columns [N, n] to where they lie in a matrix of rows of `width`; the first of them begins at `begin`."""
    whole = values.shape[1] == width
    for k, row in enumerate([values] if whole else values):
        file.seek(begin + 4 * width * k)
        put(file, row)
