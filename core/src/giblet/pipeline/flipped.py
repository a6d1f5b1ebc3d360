"""Tables that lie on their side: as many columns as the stimulus has TRs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from giblet.data.bold import turn_advice
from giblet.data.scan_header import is_table
from giblet.data.study import Scan
from giblet.errors import DataError
from giblet.media.scan_tables import scan_table_shape

NEAR, FAR = 0.05, 0.2
"""How far columns and rows are from the stimulus's TRs in a table that is taken for flipped, as shares of these."""


def require_upright(scans: Sequence[Scan], end_s: Fraction) -> None:
    """Refuse tables that have a column, not a row, for each TR of a stimulus that ends at `end_s`.

    Who says `transposed = false` of a scan is believed.

    Raises
    ------
    DataError
        Naming the subjects and both ways out.
    """
    open_ones = [s for s in scans if is_table(s.bold) and s.files.transposed is not False]
    flipped = [s for s in open_ones if _looks_flipped(s, (end_s - s.offset_s) / s.tr_s)]
    if flipped:
        raise DataError(
            f"subject {', '.join(dict.fromkeys(s.subject for s in flipped))}: the table looks flipped: its columns, "
            f"not its rows, are as many as the stimulus has TRs; {turn_advice(flipped[0].files)}"
        )


def _looks_flipped(scan: Scan, n_trs: Fraction) -> bool:
    rows, columns = scan_table_shape(scan.source())
    return abs(columns - n_trs) <= NEAR * n_trs and abs(rows - n_trs) > FAR * n_trs
