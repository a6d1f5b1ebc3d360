"""Scans that are tables: which of their columns hold a scan, and these columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from giblet.errors import DataError
from giblet.media import read_scan_table
from giblet.types import Array, Source
from numpy.typing import NDArray


def measured_columns(sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> NDArray[np.bool_]:
    """The columns [P] with a number other than 0 in some training volume of everybody; a medial wall has none.

    Who has no training volume has no say; without any at all, every column is kept.

    Raises
    ------
    DataError
        If the tables have different columns, or nothing is left.
    """
    kept: NDArray[np.bool_] | None = None
    for source, blocks in zip(sources, train, strict=True):
        table = read_scan_table(source)
        rows = [table[block] for block in blocks if len(table[block])]
        said = np.nan_to_num(np.concatenate(rows)) if rows else np.ones((1, table.shape[1]))
        here: NDArray[np.bool_] = (said != 0).any(axis=0)
        if kept is not None and len(here) != len(kept):
            first = f"{sources[0].path} has {len(kept)}"
            raise DataError(f"{source.path} has {len(here)} columns, {first}; give the same parcels for all")
        kept = here if kept is None else kept & here
    assert kept is not None
    if not kept.any():
        raise DataError(
            f"{sources[0].path} and the others share no column with a number other than 0 in training; "
            "look at the tables"
        )
    return kept


def read_columns(source: Source, state: Mapping[str, Array]) -> Array:
    """The table [T, V] without the columns that hold nothing in somebody.

    Raises
    ------
    DataError
        If it has other columns than those that were fitted.
    """
    table = read_scan_table(source)
    if "columns" not in state:
        return table
    kept = state.get("kept", np.ones(int(state["columns"][0]), bool))
    if table.shape[1] != len(kept):
        has = f"{source.path} has {table.shape[1]} columns"
        raise DataError(f"{has}, the others have {len(kept)}; give the same parcels for all")
    return table[:, kept]
