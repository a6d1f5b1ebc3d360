"""Annotation tables of any format: the one door."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import DataError
from giblet.media.annotations import Annotations, Events, Rows, cut_rows
from giblet.media.captions import read_embedded, read_subtitles, read_textgrid
from giblet.media.spreadsheets import read_sheet
from giblet.types import Source, TableChoice

SHEETS = frozenset({".xlsx", ".csv", ".tsv"})
SUBTITLES = frozenset({".srt", ".vtt", ".ass", ".ssa"})
FILMS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})


def read_table(
    path: Path,
    stream: str | None = None,
    *,
    onset_column: str | None = None,
    duration_column: str | None = None,
    end_column: str | None = None,
    text_column: str | None = None,
    rows: Rows = None,
) -> Annotations:
    """Read annotations: xlsx, csv, tsv (BIDS events too), srt, vtt, ass, TextGrid, or captions inside a film.

    `stream` names the sheet of an xlsx, the tier of a TextGrid, or the caption stream of a film ("0", "1", ...;
    "embedded" is FFmpeg's choice). The columns of a spreadsheet are found by their usual names, or named here.
    `rows=(start, stop)` takes some rows of the file, counted from 0 below the header. What was left out (rows without
    onset or text, silences) is said in `notes`.

    Raises
    ------
    DataError
        If the file is missing, of an unknown kind, empty or broken; if a time is not one, an event ends before it
        begins, or onsets go back (a second run).
    """
    choice = TableChoice(onset_column, duration_column, end_column, text_column, rows)
    return read_annotations(Source(Path(path), stream, table=choice))


def read_annotations(source: Source) -> Annotations:
    """Read the annotations of a source, all of them: `start_s` and `stop_s` are the caller's to mind.

    Raises
    ------
    DataError
        As `read_table`.
    """
    path, choice = source.path, source.table
    if not path.is_file():
        raise DataError(f"there is no annotation file {path}")
    if path.suffix.lower() in SHEETS:
        return read_sheet(path, source.stream, choice).checked()
    if choice != TableChoice(rows=choice.rows):
        raise DataError(f"{path} is no spreadsheet: it has no columns to name; leave the column options out")
    events = _timed(path, source.stream)
    if choice.rows is not None:
        wanted = cut_rows(len(events.row), choice.rows, path)
        events = events.keep([i in wanted for i in range(len(events.row))], "outside of rows")
    return events.checked()


def _timed(path: Path, stream: str | None) -> Events:
    """Events of a file that is made of events."""
    suffix = path.suffix.lower()
    if stream == "embedded" or suffix in FILMS:
        return read_embedded(path, None if stream == "embedded" else stream)
    if suffix == ".textgrid":
        return read_textgrid(path, stream)
    if suffix not in SUBTITLES:
        legal = ", ".join(sorted(SHEETS | SUBTITLES | FILMS | {".TextGrid"}))
        raise DataError(f"annotations in {path.name!r} are of no known kind; legal: {legal}")
    if stream is not None:
        raise DataError(f"{path} has no streams to choose from, so {stream!r} means nothing; leave the stream out")
    return read_subtitles(path)
