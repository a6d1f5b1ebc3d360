"""Sound of a film or sound file at any rate, streamed at its own presentation times."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import ConfigError, DataError
from giblet.media.chunk_size import SIZE
from giblet.media.containers import AvObject, StreamInfo, choose_stream, list_streams, open_container
from giblet.media.decoding import Decoder
from giblet.types import Features

Sound = NDArray[np.float32]

SOUND_FILES = frozenset({".wav", ".flac", ".ogg", ".oga"})
DRIFT_S = Fraction(1, 20)
"""Sound further than this from its presentation time is put back on it, by silence or by a cut."""
BLOCK = 1 << 16

HALF = 0.5
ROOT = 0.5**0.5
MONO = {"FL": ROOT, "FR": ROOT, "FC": 1.0, "LFE": 0.0, "SL": HALF, "SR": HALF, "BL": HALF, "BR": HALF, "BC": ROOT}
"""Weights of the speakers in one channel, ITU-R BS.775-4 annex 4, before they are scaled to sum to one."""
UNNAMED = {6: ("FL", "FR", "FC", "LFE", "BL", "BR"), 8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")}
"""The order (SMPTE, WAVE, FFmpeg's 5.1 and 7.1) that six or eight channels are in when a file does not name them."""


def audio_streams(path: Path) -> list[StreamInfo]:
    """The sound streams of a file, without decoding them."""
    return list_streams(path, "audio")


@dataclass(slots=True)
class _Track:
    """Decoded sound before resampling: blocks `[n, C]`, the first of which begins at `start_s`."""

    blocks: Iterator[Sound]
    rate_hz: int
    speakers: tuple[str, ...]
    start_s: Fraction
    stream: str
    state: dict[str, Any]


def downmix(speakers: tuple[str, ...], channels: int) -> NDArray[np.float32]:
    """The matrix `[native, channels]` that mixes speakers down; each column sums to one, so that nothing clips.

    One channel weighs the speakers by ITU-R BS.775-4 (all alike where a speaker is not in that table); two keep left
    and right apart and share the middle.

    Raises
    ------
    ConfigError
        If the channels asked for are neither 1, 2 nor as many as there are.
    """
    if channels == len(speakers) and channels != 1:
        return np.eye(channels, dtype=np.float32)
    if channels not in (1, 2):
        raise ConfigError(f"cannot mix {len(speakers)} channels to {channels}; ask for 1, 2 or {len(speakers)}")
    weight = np.array([MONO.get(s, np.nan) for s in speakers])
    if np.isnan(weight).any() or not weight.any():
        weight = np.ones(len(speakers))
    sides = ["R", "L"] if channels == 2 else [""]
    matrix = np.stack([np.where([bool(o) and s.endswith(o) for s in speakers], 0, weight) for o in sides], axis=1)
    return (matrix / matrix.sum(0)).astype(np.float32)


def read_sound(
    path: Path,
    rate_hz: int,
    stream: str | None = None,
    channels: int = 1,
    start_s: Fraction | float | None = None,
    stop_s: Fraction | float | None = None,
    chunk_s: float = 30.0,
) -> Iterator[Features]:
    """Sound as `[n, channels]` float32 at `rate_hz`, in chunks of `chunk_s` seconds, resampled by soxr (HQ).

    Tick n lies at n / rate_hz; a stream that begins at t0 begins at tick round(t0 * rate_hz). Over the whole stream
    there are N * rate_hz / native rate samples, rounded (halves up). A cut `[start_s, stop_s)` equals that slice of the
    whole: the file is decoded from its beginning. Where presentation times leave the sample count by more than 50 ms,
    silence is put in or samples are cut out; `attrs["resynced"]` counts the places. `attrs["truncated"]` and
    `attrs["damaged"]` are final in the last chunk.

    Raises
    ------
    DataError
        If the file or the stream cannot be read.
    ConfigError
        If the sound cannot be mixed to `channels`.
    """
    if rate_hz < 1:
        raise ConfigError(f"a sampling rate of {rate_hz} Hz is not positive; give for example 16000")
    source = _soundfile(path) if stream in (None, "0") and _plain(path) else _container(path, stream)
    track = next(source)
    matrix = downmix(track.speakers, channels)
    resampled = _resample((b @ matrix for b in track.blocks), track.rate_hz, rate_hz, channels)
    origin = round(track.start_s * rate_hz)
    low = None if start_s is None else ceil(Fraction(start_s) * rate_hz)
    high = None if stop_s is None else ceil(Fraction(stop_s) * rate_hz)
    said: dict[str, Any] = {"rate_hz": rate_hz, "native_rate_hz": track.rate_hz, "native_channels": len(track.speakers)}
    said["stream"] = track.stream
    found = False
    try:
        for first, block in _chunked(_cut(resampled, origin, low, high), max(1, round(SIZE.of(chunk_s) * rate_hz))):
            found = True
            ticks = np.arange(first, first + len(block), dtype=np.int64)
            yield Features(block, ticks, Fraction(1, rate_hz), attrs=said | track.state)
    finally:
        source.close()
    if not found:
        raise DataError(f"{path} has no sound between {start_s or 0} and {stop_s or 'its end'} s")


def _plain(path: Path) -> bool:
    """Whether soundfile reads this file: a sound file with one or two channels, which need no layout."""
    import soundfile

    if Path(path).suffix.lower() not in SOUND_FILES:
        return False
    try:
        return bool(soundfile.info(str(path)).channels <= 2)
    except soundfile.LibsndfileError:
        return False


def _soundfile(path: Path) -> Generator[_Track, None, None]:
    import soundfile

    with soundfile.SoundFile(str(path)) as file:
        speakers = ("FL", "FR")[: file.channels] if file.channels > 1 else ("FC",)
        blocks = file.blocks(BLOCK, dtype="float32", always_2d=True)
        state = {"truncated": False, "damaged": 0, "resynced": 0}
        yield _Track(blocks, file.samplerate, speakers, Fraction(0), "0", state)


def _container(path: Path, stream: str | None) -> Generator[_Track, None, None]:
    with open_container(path) as container:
        number, found = choose_stream(container, "audio", path, stream)
        decoder = Decoder(container, found, path)
        frames = decoder.frames()
        head = next(frames)
        state: dict[str, Any] = {"truncated": False, "damaged": 0, "resynced": 0}
        start = Fraction(0) if head.pts is None else head.pts * Fraction(head.time_base)
        speakers = _speakers(head.layout)
        blocks = _on_time(head, frames, start, decoder, state)
        yield _Track(blocks, head.sample_rate, speakers, start, str(number), state)


def _speakers(layout: AvObject) -> tuple[str, ...]:
    names = tuple(c.name for c in layout.channels)
    return UNNAMED.get(len(names), names) if "NONE" in names else names


def _on_time(
    head: AvObject,
    frames: Iterable[AvObject],
    start: Fraction,
    decoder: Decoder,
    state: dict[str, Any],
) -> Iterator[Sound]:
    """Blocks `[n, C]` that follow presentation times to within `DRIFT_S`."""
    rate, count, kind = head.sample_rate, 0, (head.sample_rate, head.layout.name)
    for frame in _chain(head, frames):
        if (frame.sample_rate, frame.layout.name) != kind:
            raise DataError(f"{decoder.path}: the sound changes its rate or channels midway; convert it to one first")
        block = _samples(frame)
        due = count if frame.pts is None else round((frame.pts * Fraction(frame.time_base) - start) * rate)
        if abs(due - count) > DRIFT_S * rate:
            state["resynced"] += 1
            block = block[max(0, count - due) :]
            for silent in range(count, due, BLOCK):
                yield np.zeros((min(BLOCK, due - silent), block.shape[1]), np.float32)
            count = max(count, due)
        count += len(block)
        state["damaged"] = decoder.damaged
        yield block
    state.update(truncated=decoder.truncated, damaged=decoder.damaged)


def _chain(head: AvObject, frames: Iterable[AvObject]) -> Iterator[AvObject]:
    yield head
    yield from frames


def _samples(frame: AvObject) -> Sound:
    """A decoded frame as float32 in [-1, 1], `[n, C]`."""
    raw = frame.to_ndarray()
    x = raw.T if frame.format.is_planar else raw.reshape(-1, len(frame.layout.channels))
    if x.dtype.kind == "f":
        return np.ascontiguousarray(x, np.float32)
    if x.dtype == np.uint8:
        return (x.astype(np.float32) - 128) / 128
    return (x / float(-np.iinfo(x.dtype).min)).astype(np.float32)


def _resample(blocks: Iterable[Sound], native_hz: int, rate_hz: int, channels: int) -> Iterator[Sound]:
    """The blocks at another rate, the same to the bit as one call over the whole."""
    if native_hz == rate_hz:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(native_hz, rate_hz, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def _cut(blocks: Iterable[Sound], first: int, low: int | None, high: int | None) -> Iterator[tuple[int, Sound]]:
    """Blocks with the tick they begin at, cut to `[low, high)`."""
    for block in blocks:
        last = first + len(block)
        if high is not None and first >= high:
            return
        a, b = max(first, low if low is not None else first), min(last, high if high is not None else last)
        if a < b:
            yield a, block[a - first : b - first]
        first = last


def _chunked(blocks: Iterable[tuple[int, Sound]], size: int) -> Iterator[tuple[int, Sound]]:
    """The same samples in chunks of `size`; the last one, never empty, is held until the stream has ended."""
    held: list[Sound] = []
    count, first = 0, None
    for at, block in blocks:
        first = at if first is None else first
        while count + len(block) > size:
            room = size - count
            yield first, np.concatenate([*held, block[:room]])
            first, block, held, count = first + size, block[room:], [], 0
        held.append(block)
        count += len(block)
    if first is not None and count:
        yield first, np.concatenate(held)
