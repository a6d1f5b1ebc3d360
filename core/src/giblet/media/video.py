"""Frames of a film, streamed at their own presentation times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.ahead import ahead
from giblet.media.chunk_size import SIZE
from giblet.media.containers import AvObject, StreamInfo, choose_stream, list_streams, open_container
from giblet.media.decoding import Decoder
from giblet.media.film_notes import picture_notes, pixel_aspect, reading_notes, stream_notes
from giblet.media.frame_clock import FrameClock
from giblet.media.frame_scaling import Scalers, orientation
from giblet.types import Features

GUESSED_HZ = 25
"""The rate of a film that does not say its own."""
FRAMES_AHEAD, CHUNKS_AHEAD = 4, 2
"""Decoding goes on while frames are scaled, and both while the caller writes; more gained nothing."""


def video_streams(path: Path) -> list[StreamInfo]:
    """The video streams of a file, without decoding them."""
    return list_streams(path, "video")


def read_frames(
    path: Path,
    width: int,
    height: int,
    stream: str | None = None,
    start_s: Fraction | float | None = None,
    stop_s: Fraction | float | None = None,
    chunk_bytes: int = 8 << 20,
) -> Iterator[Features]:
    """Frames scaled to `[n, height, width, 3]` uint8 RGB (bicubic), in chunks of at most `chunk_bytes`.

    Times are the film's own: a stream may begin at 0.08 s. `start_s` and `stop_s` cut `[start_s, stop_s)`. No frame is
    dropped; one that is not later than the frame before it (a duplicate time) is put one tick after it and counted in
    `attrs["nudged"]`, one without a time one mean frame after it (`attrs["untimed"]`). Display matrices (turned or
    mirrored films) are honoured; the whole picture is scaled to the size asked for whatever its shape.
    `attrs["truncated"]` and `attrs["damaged"]` (packets), final in the last chunk, say whether the file broke off or
    had holes; `attrs["notes"]` says it in words, a line each, with which stream was read and what became of the
    picture's shape.

    Raises
    ------
    DataError
        If the file, the stream or every frame in it cannot be read, or its times go back by more than a second.
    """
    if width < 1 or height < 1:
        raise DataError(f"a frame of {width}x{height} pixels is empty; width and height must be at least 1")
    low, high = (None if t is None else Fraction(t) for t in (start_s, stop_s))
    size = max(1, int(SIZE.of(chunk_bytes)) // (3 * width * height))
    return ahead(_chunks(Path(path), _Chunk(size, width, height), stream, low, high), CHUNKS_AHEAD)


def _chunks(
    path: Path, chunk: _Chunk, stream: str | None, low: Fraction | None, high: Fraction | None
) -> Iterator[Features]:
    _, height, width, _ = chunk.shape
    with open_container(path) as container:
        number, found = choose_stream(container, "video", path, stream)
        film = _Film(found, number, path, stream_notes(container, number, found, chosen=stream is not None))
        decoder = Decoder(container, found, path)
        with closing(Scalers(width, height)) as scalers, closing(ahead(decoder.frames(low), FRAMES_AHEAD)) as frames:
            for frame in frames:
                tick = film.clock.tick(frame.pts)
                if low is not None and tick * film.clock.timebase < low:
                    continue
                if high is not None and tick * film.clock.timebase >= high:
                    break
                if not film.seen:
                    film.look(frame, width, height)
                if chunk.full:
                    scalers.wait()
                    yield chunk.features(film.clock.timebase, film.attrs(decoder))
                scalers.into(chunk.room(tick), frame)
            scalers.wait()
        if not chunk.ticks:
            raise DataError(f"{path} has no frame between {float(low or 0):g} and {_end(high)} s")
        yield chunk.features(film.clock.timebase, film.attrs(decoder))


def _end(high: Fraction | None) -> str:
    return "its end" if high is None else f"{float(high):g}"


class _Film:
    """One video stream: its clock, and what there is to tell of it."""

    def __init__(self, stream: AvObject, number: int, path: Path, notes: list[str]) -> None:
        rate = Fraction(stream.average_rate or stream.guessed_rate or GUESSED_HZ)
        self.stream, self.notes, self.seen = stream, notes, False
        self.clock = FrameClock(Fraction(stream.time_base), rate, path)
        codec = stream.codec_context
        self.said: dict[str, Any] = {"rate_hz": float(rate), "stream": str(number)}
        self.said |= {"width": codec.width, "height": codec.height, "pixel_aspect": str(pixel_aspect(stream))}

    def look(self, frame: AvObject, width: int, height: int) -> None:
        """Note what the first frame says."""
        self.seen = True
        sideways = orientation(frame)[1] != 0
        self.notes = [
            *self.notes,
            *picture_notes(self.stream, frame, sideways=sideways, width=width, height=height),
        ]

    def attrs(self, decoder: Decoder) -> dict[str, Any]:
        """What is known so far."""
        state = {"truncated": decoder.truncated, "damaged": decoder.damaged}
        state |= {"nudged": self.clock.nudged, "untimed": self.clock.untimed}
        return self.said | state | {"notes": "\n".join([*self.notes, *reading_notes(decoder, self.clock)])}


class _Chunk:
    """Frames and ticks until there are enough of them; filled again after each `features`."""

    def __init__(self, size: int, width: int, height: int) -> None:
        self.shape = (size, height, width, 3)
        self._begin()

    def _begin(self) -> None:
        self.values: NDArray[np.uint8] = np.empty(self.shape, np.uint8)
        self.ticks: list[int] = []

    @property
    def full(self) -> bool:
        return len(self.ticks) == self.shape[0]

    def room(self, tick: int) -> NDArray[np.uint8]:
        """Where the frame of a tick goes, [H, W, 3]."""
        self.ticks.append(tick)
        return self.values[len(self.ticks) - 1]

    def features(self, timebase: Fraction, attrs: dict[str, Any]) -> Features:
        """What is there, as features."""
        out = Features(self.values[: len(self.ticks)], np.array(self.ticks, np.int64), timebase, attrs=attrs)
        self._begin()
        return out
