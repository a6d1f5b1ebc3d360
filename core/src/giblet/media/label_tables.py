"""Tables of the labels of an atlas: index, name and, maybe, network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from giblet.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_label_table(path: Path) -> DataFrame:
    """The rows of a .tsv or .csv with the columns index (whole numbers), name and, maybe, network.

    Raises
    ------
    DataError
        If it cannot be read, is empty, lacks a column, or an index is no whole number.
    """
    import pandas

    try:
        rows = pandas.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise DataError(f"the labels {path} cannot be read as a table: {' '.join(str(error).split())}") from None
    if not {"index", "name"} <= set(rows.columns):
        raise DataError(f"{path} must have the columns index and name (and network); it has {', '.join(rows.columns)}")
    if not len(rows):
        raise DataError(f"the labels {path} have no row below the header; give one row a label")
    numbers = pandas.to_numeric(rows["index"], errors="coerce")
    broken = rows["index"][~(numbers % 1 == 0)]
    if len(broken):
        raise DataError(f"the labels {path} have the index {str(broken.iloc[0])!r}; give whole numbers")
    return rows.assign(index=numbers.astype("int64"))


def label_groups(rows: DataFrame, column: str) -> dict[str, list[int]]:
    """The labels of each name or network, in the order of the table; none where it lacks the column."""
    if column not in rows.columns:
        return {}
    return {str(k): [int(i) for i in part["index"]] for k, part in rows.groupby(column, sort=False)}
