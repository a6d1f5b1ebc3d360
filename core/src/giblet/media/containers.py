"""Opening a film or sound file and choosing a stream in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from giblet.errors import DataError

AvObject = Any
"""Containers, streams and frames of PyAV, whose stubs call every time optional."""
Kind = Literal["video", "audio", "subtitle"]
KIND_NAMES = {"video": "video", "audio": "sound", "subtitle": "caption", "cover": "cover picture"}
PICTURES = ("image2", "ico")
"""FFmpeg's readers of single pictures; all others are named like `png_pipe`."""


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
    try:  # an absolute path: FFmpeg takes what stands before a colon for a protocol
        container = av.open(str(Path(path).absolute()), metadata_errors="replace")
    except av.error.FFmpegError as err:
        raise DataError(f"{path} cannot be read as a film or sound: {err.strerror}; is it whole?") from None
    with container:
        _refuse_pictures(container.format.name, path)
        if not container.streams:
            raise DataError(f"{path} cannot be read as a film or sound: it has no streams; is it whole?")
        yield container


def _refuse_pictures(kind: str, path: Path) -> None:
    """FFmpeg shows a picture as a film of one frame, and draws a text."""
    found = "text" if kind == "tty" else "a picture" if kind in PICTURES or kind.endswith("_pipe") else ""
    if found:
        raise DataError(f"{path} is {found}, not a film or sound; give for example an .mp4, .mkv or .wav")


def streams_of(container: AvObject, kind: Kind) -> list[AvObject]:
    """The streams of one kind, cover pictures left out."""
    return [s for s in container.streams if _kind(s) == kind]


def _kind(stream: AvObject) -> str:
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return "cover" if stream.disposition & still else str(stream.type)


def choose_stream(container: AvObject, kind: Kind, path: Path, stream: str | None = None) -> tuple[int, AvObject]:
    """The stream asked for ("0", "1", ... within its kind), or else `best_of` them.

    Raises
    ------
    DataError
        If there is none of that kind or number, or nothing here decodes it.
    """
    found = streams_of(container, kind)
    if not found:
        kinds = [_kind(s) for s in container.streams]
        has = ", ".join(f"{kinds.count(k)} {KIND_NAMES.get(k, k)}" for k in dict.fromkeys(kinds)) or "none at all"
        raise DataError(f"{path} has no {KIND_NAMES[kind]} stream; its streams: {has}")
    if stream is not None and stream not in {str(i) for i in range(len(found))}:
        legal = ", ".join(str(i) for i in range(len(found)))
        raise DataError(f"{path} has no {KIND_NAMES[kind]} stream {stream!r}; choose one of: {legal}")
    number, chosen = best_of(container, kind, found) if stream is None else (int(stream), found[int(stream)])
    if chosen.codec_context is None:
        raise DataError(f"{path}: no decoder for {KIND_NAMES[kind]} stream {number}; convert it, for example to H.264")
    return number, chosen


def best_of(container: AvObject, kind: Kind, found: list[AvObject]) -> tuple[int, AvObject]:
    """The stream that is read unless told, and its index within the kind.

    Of pictures, those that can be decoded, then those marked default, then the largest, then the first; of other kinds
    the one that FFmpeg holds for the best.
    """
    if kind == "video":
        return max(enumerate(found), key=lambda numbered: (_rank(numbered[1]), -numbered[0]))
    best = container.streams.best(kind)
    number = next((i for i, s in enumerate(found) if best is not None and s.index == best.index), 0)
    return number, found[number]


def _rank(stream: AvObject) -> tuple[bool, bool, int]:
    from av.stream import Disposition

    codec = stream.codec_context
    if codec is None:
        return False, False, 0
    return True, bool(stream.disposition & Disposition.default), codec.width * codec.height


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
    if codec is None:  # nothing here decodes it
        return StreamInfo(index, "unknown", duration_s(stream), default)
    if stream.type == "video":
        size: dict[str, Any] = {"width": codec.width, "height": codec.height, "rate_hz": stream.average_rate}
    elif stream.type == "audio":
        size = {"channels": codec.channels, "sample_rate_hz": codec.sample_rate}
    else:
        size = {}
    return StreamInfo(index, codec.name, duration_s(stream), default, **size)
