"""Plain tables of numbers, `[time, columns]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.matlab import read_mat
from giblet.media.spreadsheets import read_text

MISSING = frozenset({"", "n/a", "na", "nan"})
SUFFIXES = (".npy", ".txt", ".tsv", ".csv", ".mat")


def read_series(path: Path, transpose: bool = False, variable: str | None = None) -> NDArray[np.floating[Any]]:
    """A table of numbers `[T, P]`, one row a time; `transpose` reads one column a time. A header is passed over.

    From .npy and .mat floats keep their precision; text gives float64. One dimension gives `[T, 1]`. Missing values
    (n/a, NaN, an empty cell) stay NaN. `variable` names the array of a .mat file that holds several.

    Raises
    ------
    DataError
        If the file is missing, empty, ragged, not numeric, infinite somewhere, or of more than two dimensions.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no table {path}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path.name!r} is no table of numbers that can be read; legal: {', '.join(SUFFIXES)}")
    if variable is not None and suffix != ".mat":
        raise DataError(f"{path} holds one table, so {variable!r} names nothing; leave variable out")
    table = _array(path, suffix, variable) if suffix in (".npy", ".mat") else _parse(path, read_text(path), suffix)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not table.size:
        raise DataError(f"{path} holds an array of shape {table.shape}; a table of [time, columns] is needed")
    if np.isinf(table).any():
        raise DataError(f"{path}: row {int(np.argwhere(np.isinf(table))[0, 0])} holds an infinite value")
    return table.T if transpose else table


def column_names(path: Path) -> list[str]:
    """The header of a text table; none where it has no header, or is no text.

    Raises
    ------
    DataError
        If the file cannot be read as text.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".mat"):
        return []
    lines = (line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#"))
    names = _cells(next(lines, ""), suffix)
    return names if all(_number(name) is None for name in names) else []


def _array(path: Path, suffix: str, variable: str | None) -> NDArray[np.floating[Any]]:
    raw = read_mat(path, variable) if suffix == ".mat" else _npy(path)
    return raw if raw.dtype.kind == "f" else raw.astype(np.float64)


def _npy(path: Path) -> NDArray[Any]:
    try:
        raw = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as err:
        raise DataError(f"{path} is no NumPy array that can be read: {err}") from None
    if not isinstance(raw, np.ndarray) or raw.dtype.kind not in "fiub":
        raise DataError(f"{path} holds {getattr(raw, 'dtype', 'an archive')}, not real numbers")
    return raw


def _parse(path: Path, text: str, suffix: str) -> NDArray[np.floating[Any]]:
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    rows = [(i, _cells(line, suffix)) for i, line in lines]
    if rows and all(_number(c) is None for c in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise DataError(f"{path} is empty: it has no row of numbers")
    width = len(rows[0][1])
    table = np.empty((len(rows), width))
    for k, (i, cells) in enumerate(rows):
        if len(cells) != width:
            raise DataError(f"{path}: line {i} has {len(cells)} values where the first row has {width}")
        for j, cell in enumerate(cells):
            value = _number(cell)
            if value is None:
                raise DataError(f"{path}: {cell[:40]!r} in line {i}, column {j + 1} is not a number")
            table[k, j] = value
    return table


def _cells(line: str, suffix: str) -> list[str]:
    if suffix == ".txt":
        return line.replace(",", " ").split()
    return [c.strip().strip('"') for c in line.rstrip("\r\n").split("\t" if suffix == ".tsv" else ",")]


def _number(cell: str) -> float | None:
    if cell.casefold() in MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None
