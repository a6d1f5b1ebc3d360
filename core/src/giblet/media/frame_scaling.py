"""Decoded frames to upright RGB of one size."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.media.containers import AvObject
from giblet.media.threads import most_threads

FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""Swscale's exact path: a mean of 0.4 levels from a floating-point conversion; its default is 1.7 levels off."""
SCALERS = 2
"""Pictures that are scaled at once: one at a time takes longer than decoding on a few processors does."""
UPRIGHT = (1, 0, 0, 1)
TURNS = {(True, False): "clock", (True, True): "cclock_flip", (False, True): "cclock", (False, False): "clock_flip"}
"""Of a display matrix that swaps the axes: whether x becomes y upwards, and y becomes x, as ffmpeg turns them."""
Orientation = tuple[int, int, int, int]


def orientation(frame: AvObject) -> Orientation:
    """Signs (a, b, c, d) of a frame's display matrix: a pixel (x, y) is shown at (a x + c y, b x + d y).

    A turn that is no quarter of a circle is taken for the nearest one.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return (_sign(a), 0, 0, _sign(d)) if abs(a) >= abs(b) else (0, _sign(b), _sign(c), 0)


def _sign(x: int) -> int:
    return (x > 0) - (x < 0)


def turning(turn: Orientation) -> list[tuple[str, str | None]]:
    """The filters that set a picture upright."""
    a, b, c, d = turn
    if b:
        return [("transpose", TURNS[b > 0, c > 0])]
    return [(name, None) for name, sign in (("hflip", a), ("vflip", d)) if sign < 0]


class FrameScaler:
    """An FFmpeg filter graph from decoded frames to RGB of one size; rebuilt where the film changes its format.

    The whole picture fills the size asked for: pixels that are not square, black bars and another shape change nothing.
    Transparency is left out, not blended.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.key: tuple[Any, ...] = ()
        self.graph: AvObject = None

    def into(self, out: NDArray[np.uint8], frame: AvObject) -> None:
        """Scale a frame into `out` [H, W, 3]."""
        turn = orientation(frame)
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, turn)
        if key != self.key:
            self.graph, self.key = self._build(frame, turn), key
        self.graph.vpush(frame)
        scaled = self.graph.vpull()
        rows = np.frombuffer(scaled.planes[0], np.uint8).reshape(-1, scaled.planes[0].line_size)
        width, height = self.size
        out[...] = rows[:height, : 3 * width].reshape(height, width, 3)

    def _build(self, frame: AvObject, turn: Orientation) -> AvObject:
        import av

        width, height = self.size[::-1] if turn[1] else self.size
        graph = av.filter.Graph()
        graph.threads = 1
        chain = [
            graph.add(
                "buffer",
                video_size=f"{frame.width}x{frame.height}",
                pix_fmt=frame.format.name,
                time_base=str(frame.time_base or Fraction(1, 25)),
                colorspace=str(int(frame.colorspace)),
                range=str(int(frame.color_range)),
            ),
            graph.add("scale", f"{width}:{height}:flags={FLAGS}"),
            graph.add("format", "rgb24"),
            *(graph.add(*step) for step in turning(turn)),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*chain).configure()
        return graph


class Scalers:
    """Scalers that take frames in turn, each in a thread of its own; what they fill is whole after `wait`."""

    def __init__(self, width: int, height: int) -> None:
        threads = min(SCALERS, most_threads() or SCALERS)
        self.workers = [(FrameScaler(width, height), ThreadPoolExecutor(1)) for _ in range(threads)]
        self.under_way: deque[Future[None]] = deque()

    def into(self, out: NDArray[np.uint8], frame: AvObject) -> None:
        """Have a frame scaled into `out` [H, W, 3]; waits for an earlier one where all are at work."""
        if len(self.under_way) > len(self.workers):
            self.under_way.popleft().result()
        scaler, thread = self.workers[0]
        self.workers.append(self.workers.pop(0))
        self.under_way.append(thread.submit(scaler.into, out, frame))

    def wait(self) -> None:
        """Until every frame is scaled; the first error is raised here."""
        while self.under_way:
            self.under_way.popleft().result()

    def close(self) -> None:
        """End the threads, once they have done what they began."""
        for _, thread in self.workers:
            thread.shutdown()
