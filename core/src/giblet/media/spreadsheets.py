"""Annotation tables in rows and columns: xlsx, csv, tsv and BIDS events.tsv."""

from __future__ import annotations

import csv
import datetime
import math
import re
from collections.abc import Sequence
from pathlib import Path

from giblet.errors import DataError
from giblet.media.annotations import Cell, Events, cut_rows
from giblet.types import TableChoice

ONSET = ("onset", "start", "start time", "begin", "begin time", "time")
DURATION = ("duration", "dur", "length")
END = ("end", "end time", "offset", "stop", "stop time", "finish")
TEXT = (
    "text",
    "description",
    "caption",
    "transcript",
    "sentence",
    "word",
    "label",
    "content",
    "dialogue",
    "trial type",
)
EMPTY = frozenset({"", "n/a", "na", "nan", "none"})


def read_sheet(path: Path, stream: str | None, choice: TableChoice) -> Events:
    """Events of an xlsx (`stream` names the sheet; default the first), csv or tsv file.

    Columns that `choice` does not name are looked for in the lists above, first match first.

    Raises
    ------
    DataError
        If a column is missing, or a cell that must be a time is none.
    """
    header, body = _xlsx(path, stream) if path.suffix.lower() == ".xlsx" else _delimited(path, stream)
    onset, text = _column(path, header, "onset", choice.onset, ONSET), _column(path, header, "text", choice.text, TEXT)
    length = None if choice.end is not None else _find(path, header, choice.duration, DURATION)
    ends = length is None
    last = _column(path, header, "duration or end", choice.end, END) if length is None else length
    found: dict[str, list[Cell]] = {name: [] for name in header}
    events, without = Events(path, [], [], [], [], found), 0
    for row in cut_rows(len(body), choice.rows, path):
        begins = _seconds(path, row, header[onset], body[row][onset])
        if begins is None:
            without += 1
            continue
        told = _seconds(path, row, header[last], body[row][last])
        events.row.append(row)
        events.onset_s.append(begins)
        events.duration_s.append(math.nan if told is None else told - begins if ends else told)
        events.text.append("" if _is_empty(body[row][text]) else str(body[row][text]).strip())
        for name, cell in zip(header, body[row], strict=True):
            found[name].append(cell)
    if without:
        events.notes.append(f"{without} {'row' if without == 1 else 'rows'} without an onset left out")
    return events


def _xlsx(path: Path, stream: str | None) -> tuple[list[str], list[list[Cell]]]:
    import warnings
    import zipfile

    import openpyxl

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl")
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, ValueError) as err:
            raise DataError(f"{path} is not an Excel sheet that can be read: {err}") from None
        if stream is not None and stream not in book.sheetnames:
            raise DataError(f"{path} has no sheet {stream!r}; its sheets: {', '.join(book.sheetnames)}")
        sheet = book[stream] if stream is not None else book.worksheets[0]
        rows = [list(r) for r in sheet.iter_rows(values_only=True)]
        book.close()
    return _split(path, rows)


def _delimited(path: Path, stream: str | None) -> tuple[list[str], list[list[Cell]]]:
    if stream is not None:
        raise DataError(f"{path} has no streams to choose from, so {stream!r} means nothing; leave the stream out")
    text = read_text(path)
    head = text.partition("\n")[0]
    mark = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head and "," not in head else ","
    return _split(path, [list(r) for r in csv.reader(text.splitlines(keepends=True), delimiter=mark)])


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without its byte-order mark.

    Raises
    ------
    DataError
        If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataError(f"{path} is not UTF-8 text (byte {err.start}); save it as UTF-8") from None


def _split(path: Path, rows: Sequence[list[Cell]]) -> tuple[list[str], list[list[Cell]]]:
    """The header and the rows below it, empty rows at the end left out."""
    while rows and all(_is_empty(c) for c in rows[-1]):
        rows = rows[:-1]
    if len(rows) < 2:
        raise DataError(f"{path} has no rows below a header; an annotation table needs a header and events")
    header = ["" if c is None else str(c).strip() for c in rows[0]]
    for i, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise DataError(f"{path}: row {i} has {len(row)} cells where the header has {len(header)}")
    return header, list(rows[1:])


def _column(path: Path, header: list[str], role: str, named: str | None, known: Sequence[str]) -> int:
    found = _find(path, header, named, known)
    if found is None:
        option = role.rpartition(" ")[2]
        raise DataError(
            f"{path} has no column known to hold the {role}; name one by {option}_column, of: {'; '.join(header)}; "
            f"in a study.toml: annotations = {{path = ..., {option} = ...}}"
        )
    return found


def _find(path: Path, header: list[str], named: str | None, known: Sequence[str]) -> int | None:
    if named is not None:
        same = [i for i, h in enumerate(header) if h.casefold() == named.strip().casefold()]
        if not same:
            raise DataError(f"{path} has no column {named!r}; its columns: {'; '.join(header)}")
        return same[0]
    plain = [_plain(h) for h in header]
    return next((plain.index(k) for k in known if k in plain), None)


def _plain(header: str) -> str:
    """A column's name without its unit of seconds: "Start Time (s) " is "start time"; a column of TRs stays apart."""
    words = re.sub(r"[_\s]+", " ", header).strip().casefold()
    return re.sub(r"( |\s*[(\[])(s|sec|secs|seconds)[)\]]?$", "", words)


def _is_empty(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or str(cell).strip().casefold() in EMPTY


def _seconds(path: Path, row: int, column: str, cell: Cell) -> float | None:
    """A cell as seconds: a number, h:mm:ss or a time of Excel's; None if it is empty."""
    if _is_empty(cell):
        return None
    if isinstance(cell, datetime.timedelta):
        return cell.total_seconds()
    try:
        parts = [float(p) for p in str(cell).strip().split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3:
        raise DataError(
            f"{path}: {column!r} in row {row} is {str(cell)[:40]!r}, not seconds or h:mm:ss; "
            "correct it or leave the row out by rows=(start, stop)"
        )
    return sum(p * 60**i for i, p in enumerate(reversed(parts)))
