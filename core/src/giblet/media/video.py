"""Frames of a film, streamed at their own presentation times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.containers import AvObject, Decoder, StreamInfo, choose_stream, list_streams, open_container
from giblet.types import Features

SEEK_MARGIN_S = Fraction(2)
"""How far before a cut decoding begins, so that frames out of coding order are there."""
FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Swscale's exact path: a mean of 0.4 levels from a floating-point conversion; its default is 1.7 levels off."""
TURNS = {90: ("transpose", "cclock"), 180: ("hflip", None), 270: ("transpose", "clock")}


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
    chunk_bytes: int = 64 << 20,
) -> Iterator[Features]:
    """Frames scaled to `[n, height, width, 3]` uint8 RGB (bicubic), in chunks of at most `chunk_bytes`.

    Times are the film's own: a stream may begin at 0.08 s. `start_s` and `stop_s` cut `[start_s, stop_s)`. No frame is
    dropped; one that is not later than the frame before it (a duplicate time) is put one tick after it and counted in
    `attrs["nudged"]`, one without a time one mean frame after it. Rotation flags are honoured; pixels are scaled to the
    size asked for whatever their aspect. `attrs["truncated"]` and `attrs["damaged"]` (packets), final in the last
    chunk, say whether the file broke off or had holes.

    Raises
    ------
    DataError
        If the file, the stream or every frame in it cannot be read, or its times go back by more than a second.
    """
    if width < 1 or height < 1:
        raise DataError(f"a frame of {width}x{height} pixels is empty; width and height must be at least 1")
    with open_container(path) as container:
        number, found = choose_stream(container, "video", path, stream)
        decoder = Decoder(container, found, path)
        clock = _Clock(Fraction(found.time_base), Fraction(found.average_rate or found.guessed_rate or 25), path)
        if start_s is not None and Fraction(start_s) > SEEK_MARGIN_S:
            _seek(container, found, Fraction(start_s) - SEEK_MARGIN_S)
        chunk = _Chunk(max(1, chunk_bytes // (3 * width * height)), width, height)
        scale = _Scaler(width, height)
        attrs = {"rate_hz": float(clock.rate_hz), "stream": str(number)}
        attrs |= {"width": found.codec_context.width, "height": found.codec_context.height}
        for frame in decoder.frames():
            tick = clock.tick(frame.pts)
            if start_s is not None and tick * clock.timebase < start_s:
                continue
            if stop_s is not None and tick * clock.timebase >= stop_s:
                break
            if chunk.full:
                yield chunk.features(clock.timebase, attrs, decoder, clock.nudged)
            chunk.add(scale(frame), tick)
        if not chunk.count:
            raise DataError(f"{path} has no frame between {start_s or 0} and {stop_s or 'its end'} s")
        yield chunk.features(clock.timebase, attrs, decoder, clock.nudged)


def _seek(container: AvObject, stream: AvObject, to_s: Fraction) -> None:
    """Go to a key frame at or before a time, or stay at the beginning where the file cannot be searched."""
    import av

    try:
        container.seek(int(to_s / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        container.seek(0)


@dataclass(slots=True)
class _Clock:
    """Presentation times as strictly rising ticks."""

    timebase: Fraction
    rate_hz: Fraction
    path: Path
    last: int | None = None
    nudged: int = 0

    def tick(self, pts: int | None) -> int:
        step = round(1 / (self.rate_hz * self.timebase))
        if pts is None:
            pts = 0 if self.last is None else self.last + max(1, step)
            self.nudged += 1
        elif self.last is not None and pts <= self.last:
            if (self.last - pts) * self.timebase > 1:
                at = float(self.last * self.timebase)
                raise DataError(f"{self.path}: frame times go back after {at:.3f} s; remux the film into one run")
            pts = self.last + 1
            self.nudged += 1
        self.last = pts
        return pts


class _Chunk:
    """Frames and ticks until there are enough of them; filled again after each `features`."""

    def __init__(self, size: int, width: int, height: int) -> None:
        self.shape = (size, height, width, 3)
        self._begin()

    def _begin(self) -> None:
        self.values: NDArray[np.uint8] = np.empty(self.shape, np.uint8)
        self.ticks: list[int] = []

    @property
    def count(self) -> int:
        return len(self.ticks)

    @property
    def full(self) -> bool:
        return self.count == self.shape[0]

    def add(self, frame: NDArray[np.uint8], tick: int) -> None:
        self.values[self.count] = frame
        self.ticks.append(tick)

    def features(self, timebase: Fraction, attrs: dict[str, Any], decoder: Decoder, nudged: int) -> Features:
        said = attrs | {"truncated": decoder.truncated, "damaged": decoder.damaged, "nudged": nudged}
        out = Features(self.values[: self.count], np.array(self.ticks, np.int64), timebase, attrs=said)
        self._begin()
        return out


class _Scaler:
    """An FFmpeg filter graph from decoded frames to RGB of one size; rebuilt where the film changes its format."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.key: tuple[Any, ...] = ()
        self.graph: AvObject = None

    def __call__(self, frame: AvObject) -> NDArray[np.uint8]:
        key = (frame.width, frame.height, frame.format.name, frame.rotation, frame.colorspace, frame.color_range)
        if key != self.key:
            self.graph, self.key = self._build(frame), key
        self.graph.vpush(frame)
        rgb: NDArray[np.uint8] = self.graph.vpull().to_ndarray(format="rgb24")
        return rgb

    def _build(self, frame: AvObject) -> AvObject:
        import av

        turn = round(frame.rotation / 90) * 90 % 360
        width, height = self.size if turn in (0, 180) else self.size[::-1]
        graph = av.filter.Graph()
        chain = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 25),
            ),
            graph.add("scale", f"{width}:{height}:flags={FLAGS}"),
            graph.add("format", "rgb24"),
        ]
        if turn:
            chain.append(graph.add(*TURNS[turn]))
        if turn == 180:
            chain.append(graph.add("vflip"))
        chain.append(graph.add("buffersink"))
        graph.link_nodes(*chain).configure()
        return graph
