"""Decoding one stream of a film or sound file as far as it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from giblet.errors import DataError
from giblet.media.containers import AvObject, duration_s
from giblet.media.threads import most_threads

SEEK_MARGIN_S = Fraction(2)
"""How far before a cut decoding begins, so that frames out of coding order are there."""
NO_TIMESTAMPS = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: a bare stream, where a frame's time is known by counting only."""


@dataclass(slots=True)
class Decoder:
    """Decoded frames of one stream, and what was wrong on the way.

    `damaged` counts the packets that did not decode; they are passed over, the frames after them keep their times.
    `truncated` says that the stream ended more than a quarter of a second (or two frames) before it said that it would.
    """

    container: AvObject
    stream: AvObject
    path: Path
    damaged: int = 0
    truncated: bool = False
    end_s: Fraction | None = field(default=None, init=False)

    def frames(self, start_s: Fraction | None = None) -> Iterator[AvObject]:
        """Every frame that decodes, in presentation order; with `start_s`, from some frame at or before it on.

        Raises
        ------
        DataError
            If none does.
        """
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = most_threads()
        for frame in self._decoded() if start_s is None else self._from(start_s):
            if frame.pts is not None:
                length = frame.duration or 0
                self.end_s = (frame.pts + length) * self._unit(frame)
            yield frame
        self.truncated = self.truncated or self._short()

    def _from(self, start_s: Fraction) -> Iterator[AvObject]:
        """From a key frame well before a time; from the beginning where the file cannot be searched."""
        if start_s > SEEK_MARGIN_S and self._seek(start_s - SEEK_MARGIN_S):
            found = self._decoded()
            head = self._first_of(found)
            if head is not None and head.pts is not None and head.pts * self._unit(head) <= start_s:
                yield head
                yield from found
                return
            self.damaged, self.truncated = 0, False
            self.container.seek(0)
        yield from self._decoded()

    def _seek(self, to_s: Fraction) -> bool:
        import av

        if self.container.format.flags & NO_TIMESTAMPS:
            return False
        try:
            self.container.seek(int(to_s / self.stream.time_base), stream=self.stream, backward=True)
        except av.error.FFmpegError:
            self.container.seek(0)
            return False
        return True

    def _first_of(self, found: Iterator[AvObject]) -> AvObject | None:
        try:
            return next(found, None)
        except DataError:  # beyond the last key frame
            return None

    def _unit(self, frame: AvObject) -> Fraction:
        return Fraction(frame.time_base or self.stream.time_base)

    def _decoded(self) -> Iterator[AvObject]:
        import av

        count = 0
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.truncated, packet = True, None
            if packet is None:
                break
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            count += len(decoded)
            yield from decoded
        if not count:
            raise DataError(f"{self.path} cannot be decoded: no frame of its {self.stream.type} is whole")

    def _short(self) -> bool:
        said = duration_s(self.stream)
        if said is None or self.end_s is None:
            return False
        start = (self.stream.start_time or 0) * self.stream.time_base if self.stream.duration is not None else 0
        rate = getattr(self.stream, "average_rate", None)
        slack = max(Fraction(1, 4), 2 / Fraction(rate) if rate else Fraction(0))
        return bool(self.end_s < start + said - slack)
