"""Opening a film or sound file and choosing a stream in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from giblet.errors import DataError

AvObject = Any
"""Containers, streams and frames of PyAV, whose stubs call every time optional."""
Kind = Literal["video", "audio", "subtitle"]
KIND_NAMES = {"video": "video", "audio": "sound", "subtitle": "caption"}


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a file; `index` counts within its kind, `default` marks the one that is read unless told."""

    index: int
    codec: str
    duration_s: Fraction | None = None
    default: bool = False
    width: int | None = None
    height: int | None = None
    rate_hz: Fraction | None = None
    channels: int | None = None
    sample_rate_hz: int | None = None


@contextmanager
def open_container(path: Path) -> Iterator[AvObject]:
    """An open PyAV container.

    Raises
    ------
    DataError
        If the file is missing or is no film or sound.
    """
    import av

    if not Path(path).is_file():
        raise DataError(f"there is no file {path}; give the path of a film or sound file")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as err:
        raise DataError(f"{path} cannot be read as a film or sound: {err.strerror}; is it whole?") from None
    with container:
        yield container


def streams_of(container: AvObject, kind: Kind) -> list[AvObject]:
    """The streams of one kind, cover pictures of sound files left out."""
    from av.stream import Disposition

    return [s for s in container.streams if s.type == kind and Disposition.attached_pic not in s.disposition]


def choose_stream(container: AvObject, kind: Kind, path: Path, stream: str | None = None) -> tuple[int, AvObject]:
    """The stream asked for ("0", "1", ... within its kind), or else the one that FFmpeg holds for the best.

    Raises
    ------
    DataError
        If there is none of that kind or number.
    """
    found = streams_of(container, kind)
    if not found:
        kinds = [s.type for s in container.streams]
        has = ", ".join(f"{kinds.count(k)} {KIND_NAMES.get(k, k)}" for k in dict.fromkeys(kinds)) or "none at all"
        raise DataError(f"{path} has no {KIND_NAMES[kind]} stream; its streams: {has}")
    if stream is None:
        return best_of(container, kind, found)
    if stream not in {str(i) for i in range(len(found))}:
        legal = ", ".join(str(i) for i in range(len(found)))
        raise DataError(f"{path} has no {KIND_NAMES[kind]} stream {stream!r}; choose one of: {legal}")
    return int(stream), found[int(stream)]


def best_of(container: AvObject, kind: Kind, found: list[AvObject]) -> tuple[int, AvObject]:
    """FFmpeg's best stream of a kind and its index within the kind."""
    best = container.streams.best(kind)
    number = next((i for i, s in enumerate(found) if best is not None and s.index == best.index), 0)
    return number, found[number]


def duration_s(stream: AvObject) -> Fraction | None:
    """How long a stream says that it lasts; Matroska says it in a tag."""
    if stream.duration is not None:
        return Fraction(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, secs = rest.partition(":")
    return 3600 * int(hours) + 60 * int(minutes) + Fraction(secs) if secs else None


def list_streams(path: Path, kind: Kind) -> list[StreamInfo]:
    """Describe the streams of one kind without decoding them."""
    with open_container(path) as container:
        found = streams_of(container, kind)
        best = best_of(container, kind, found)[0] if found else None
        return [_describe(s, i, i == best) for i, s in enumerate(found)]


def _describe(stream: AvObject, index: int, default: bool) -> StreamInfo:
    codec = stream.codec_context
    name = codec.name if codec else "unknown"
    if stream.type == "video":
        size: dict[str, Any] = {"width": codec.width, "height": codec.height, "rate_hz": stream.average_rate}
    elif stream.type == "audio":
        size = {"channels": codec.channels, "sample_rate_hz": codec.sample_rate}
    else:
        size = {}
    return StreamInfo(index, name, duration_s(stream), default, **size)


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

    def frames(self) -> Iterator[AvObject]:
        """Every frame that decodes, in presentation order.

        Raises
        ------
        DataError
            If none does.
        """
        self.stream.thread_type = "AUTO"
        for frame in self._decoded():
            if frame.pts is not None:
                length = frame.duration or 0
                self.end_s = (frame.pts + length) * Fraction(frame.time_base or self.stream.time_base)
            yield frame
        self.truncated = self.truncated or self._short()

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
