"""The texts of a training: read, told apart, and split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from giblet.errors import DataError
from numpy.typing import NDArray

FEWEST = 40
LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Lines:
    """All different texts, [N], and which are for training, for choosing the best weights, and for the test."""

    texts: list[str]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> list[str]:
        """The texts of some rows."""
        return [self.texts[i] for i in rows]


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, white space normalised, empty ones and repetitions left out.

    Raises
    ------
    DataError
        If the file cannot be read or holds too little.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} does not read as UTF-8 text ({error}); give a file with one text a line") from None
    found = list(dict.fromkeys(" ".join(line.split()) for line in text.splitlines()))
    lines = [line for line in found if line]
    if len(lines) < FEWEST:
        raise DataError(f"{path} has {len(lines)} different lines; an inverter learns from {FEWEST} at the very least")
    return lines


def split(texts: list[str], held_out: int, seed: int) -> Lines:
    """Shuffle and split. No text comes twice, so that what is held out was never seen."""
    order = np.random.default_rng(seed).permutation(len(texts))
    n = min(held_out, int(LARGEST_SHARE * len(texts)))
    return Lines(texts, np.sort(order[2 * n :]), order[:n], order[n : 2 * n])
