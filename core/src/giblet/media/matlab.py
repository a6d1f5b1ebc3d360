"""Tables of numbers in MATLAB files: version 5 by scipy, version 7.3, which is HDF5, by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError

HDF5 = b"MATLAB 7.3"


def read_mat(path: Path, variable: str | None = None) -> NDArray[Any]:
    """One array of a .mat file, as MATLAB shows it; `variable` names it where the file holds several tables.

    Raises
    ------
    DataError
        If the file cannot be read, has no such variable, or it is open which of several tables is meant.
    """
    with path.open("rb") as file:
        found = _read_hdf5(path) if file.read(len(HDF5)) == HDF5 else _read_old(path)
    tables = {k: np.asarray(v) for k, v in found.items() if _is_table(v)}
    named = [variable] if variable is not None else list(tables)
    if len(named) != 1 or named[0] not in tables:
        what = "has no table of numbers" if variable is None else f"has no table {variable!r}"
        said = f"holds the tables {', '.join(tables)}" if variable is None and tables else what
        advice = f"legal: {', '.join(tables)}" if variable else 'name one by variable = "NAME" in a study.toml'
        raise DataError(f"{path} {said}; {advice}")
    return tables[named[0]]


def _is_table(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.ndim == 2 and value.size > 1


def _read_old(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    except Exception as error:  # what scipy raises on a torn file has no common base
        line = " ".join(str(error).split())
        raise DataError(f"{path} is no MATLAB file that can be read: {line}; save it again") from None


def _read_hdf5(path: Path) -> dict[str, Any]:
    """HDF5 keeps MATLAB's columns as rows."""
    try:
        import h5py
    except ImportError:
        raise DataError(
            f"{path} is a MATLAB file of version 7.3, which h5py reads; pip install 'giblet[mat]', or save it by "
            "save(..., '-v7')"
        ) from None
    try:
        with h5py.File(path) as file:
            return {k: v[()].T for k, v in file.items() if isinstance(v, h5py.Dataset)}
    except OSError as error:
        line = " ".join(str(error).split())
        raise DataError(f"{path} is no MATLAB file that can be read: {line}; save it again") from None
