"""Several films as one, side by side, each under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.containers import choose_stream, open_container
from giblet.media.video import read_frames
from giblet.media.writing import write_film

LEAST_PX = 90
STRIP_PX = 20
GAP_PX = 4
Frame = NDArray[np.uint8]


def side_by_side(
    films: Mapping[str, Path], out: Path, sound: NDArray[np.float32] | None = None, sound_rate_hz: int | None = None
) -> Path:
    """Write films of one frame rate, by their names (ASCII), as one mp4 with sound `[n, C]`; the shortest ends it.

    Pictures have the first film's size, times a whole number where that is less than 90 pixels high.

    Raises
    ------
    DataError
        If there is no film, or one cannot be read.
    """
    if not films:
        raise DataError("there is no film to put side by side; name at least one")
    width, height, rate_hz = _shape(next(iter(films.values())))
    titles = [_title(name, width) for name in films]
    pictures = zip(*(_frames(path, width, height) for path in films.values()), strict=False)
    return write_film(out, (_joined(titles, row) for row in pictures), rate_hz, sound, sound_rate_hz)


def _shape(film: Path) -> tuple[int, int, Fraction]:
    """Width and height in pixels of a film's panel, and its frame rate in Hz."""
    with open_container(film) as container:
        _, stream = choose_stream(container, "video", film)
        codec = stream.codec_context
        times = ceil(LEAST_PX / codec.height)
        return times * codec.width, times * codec.height, Fraction(stream.average_rate or 25)


def _frames(film: Path, width: int, height: int) -> Iterator[Frame]:
    for chunk in read_frames(film, width, height, chunk_bytes=8 << 20):
        yield from chunk.values


def _title(name: str, width: int) -> Frame:
    """A strip with the name in it."""
    import cv2

    strip = np.full((STRIP_PX, width, 3), 255, np.uint8)
    cv2.putText(strip, name, (3, STRIP_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _joined(titles: list[Frame], row: tuple[Frame, ...]) -> Frame:
    gap = np.full((STRIP_PX + len(row[0]), GAP_PX, 3), 255, np.uint8)
    panels = [np.concatenate([title, frame]) for title, frame in zip(titles, row, strict=True)]
    return np.concatenate([part for panel in panels for part in (gap, panel)][1:], axis=1)
