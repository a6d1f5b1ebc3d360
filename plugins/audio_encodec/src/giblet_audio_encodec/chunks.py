"""Sound through a codec that encodes chunks by themselves: the 48 kHz model, one second with 1 % of overlap.

Chunks lie on one clock for the whole stream, so that a cut of a film has the codes of the whole. A chunk's last frames
lie inside the next chunk; so that times run on, its frames are said to share the time until the next chunk begins,
evenly: 150 frames in 0.99 s. The most that a frame is moved by is 10 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from giblet.errors import DataError
from giblet.types import Array, Features, Int, Source

from giblet_audio_encodec.codec import Codec, Float32
from giblet_audio_encodec.pieces import Play
from giblet_audio_encodec.rhythm import frame_levels

if TYPE_CHECKING:
    from giblet_audio_encodec.targets import Target


@dataclass(frozen=True)
class Span:
    """The cut [start_s, stop_s) of a source; None where it is not cut."""

    start_s: Fraction | None
    stop_s: Fraction | None

    def within(self, first: int, stop: int, timebase: Fraction) -> slice:
        """Those of the ticks [first, stop) that are wanted; empty where none is."""
        low = first if self.start_s is None else max(first, ceil(self.start_s / timebase))
        high = stop if self.stop_s is None else min(stop, ceil(self.stop_s / timebase))
        return slice(low, max(low, high))

    def ends(self, tick: int, timebase: Fraction) -> bool:
        """Whether nothing is wanted from a tick on."""
        return self.stop_s is not None and tick * timebase >= self.stop_s


def chunk_features(way: Target, source: Source) -> Iterator[Features]:
    """Features of one sound stream; `attrs["places"]` [N] says which frame of its chunk each is.

    Raises
    ------
    DataError
        If there is no sound in the cut.
    """
    from giblet.media import read_sound

    codec = way.codec
    span, sample_s, found = Span(source.start_s, source.stop_s), Fraction(1, codec.rate_hz), False
    step, timebase = codec.frame_samples.numerator, sample_s / codec.frame_samples.denominator
    sound = read_sound(source.path, codec.rate_hz, source.stream, codec.channels)
    head = next(sound)
    origin = int(head.ticks[0])
    blocks = (block.values for part in ([head], sound) for block in part)
    for at, piece in cut_chunks(blocks, codec.chunk or 1, codec.stride):
        first = (origin + at) * codec.frame_samples.denominator
        if span.ends(first, timebase):
            break
        ticks = first + step * np.arange(-(-len(piece) // codec.hop), dtype=np.int64)
        wanted = span.within(first, int(ticks[-1]) + 1, timebase)
        places = np.flatnonzero((ticks >= wanted.start) & (ticks < wanted.stop))
        if not len(places):
            continue
        found = True
        whole = span.within(origin, origin + at + len(piece), sample_s)
        attrs = {"n_samples": whole.stop - whole.start, "rate_hz": codec.rate_hz, "num_classes": codec.num_classes}
        levels = frame_levels(piece, codec.hop)
        of_frames = {"places": places.tolist(), "level_db": [levels[p] for p in places]}
        yield Features(way.extract(piece)[places], ticks[places], timebase, attrs=attrs | of_frames)
    if not found:
        raise DataError(f"{source.path} has no sound between {source.start_s or 0} and {source.stop_s or 'its end'} s")


def cut_chunks(sound: Iterable[Float32], chunk: int, stride: int) -> Iterator[tuple[int, Float32]]:
    """Where each chunk begins, and its sound [chunk, channels]; the last are shorter. Sound comes in any blocks."""
    held, at = np.zeros((0, 1), np.float32), 0
    for block in sound:
        held = np.concatenate([held, block]) if len(held) else block
        while len(held) >= chunk:
            yield at, held[:chunk]
            held, at = held[stride:], at + stride
    while len(held):
        yield at, held
        held, at = held[stride:], at + stride


def play_chunks(codec: Codec, play: Play, values: Array, frame: Int, first_place: int) -> Iterator[Float32]:
    """Sound [n, channels] of values [N, *S] in frames [N], the first of which is frame `first_place` of its chunk."""
    number, place = np.divmod(frame - frame[0] + first_place, round(codec.stride / codec.frame_samples))
    begins = np.flatnonzero(np.r_[True, (np.diff(number) != 0) | (np.diff(place) != 1)])
    parts = (
        (int(number[i]) * codec.stride + int(place[i]) * codec.hop, int(place[i]) * codec.hop, play(values[i:j]))
        for i, j in zip(begins, [*begins[1:], len(values)], strict=True)
    )
    yield from overlap_add(parts, int(first_place * codec.frame_samples), codec.chunk or 1)


def overlap_add(parts: Iterable[tuple[int, int, Float32]], start: int, chunk: int) -> Iterator[Float32]:
    """Sound [n, channels] from sample `start` on, of parts: where each begins, how far into its chunk, its samples.

    Where parts overlap, each counts with a triangle over its chunk, as in the codec's own decoding.
    """
    ramp = np.linspace(0, 1, chunk + 2, dtype=np.float32)[1:-1]
    triangle = (0.5 - np.abs(ramp - 0.5))[:, None]
    held, weight = np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32)
    for at, into, sound in parts:
        skip = max(0, start - at)
        sound, at, into = sound[skip:], at + skip, into + skip
        if at > start:
            done, held = np.split(_to_length(held, at - start, sound.shape[1]), [at - start])
            past, weight = np.split(_to_length(weight, at - start, 1), [at - start])
            yield _divided(done, past)
            start = at
        held, weight = (_to_length(x, len(sound), c) for x, c in ((held, sound.shape[1]), (weight, 1)))
        held[: len(sound)] += triangle[into : into + len(sound)] * sound
        weight[: len(sound)] += triangle[into : into + len(sound)]
    yield _divided(held, weight)


def _to_length(x: Float32, n: int, channels: int) -> Float32:
    """At least n rows, zeros behind what is there."""
    wide = x if x.shape[1] == channels else np.zeros((len(x), channels), np.float32)
    return np.concatenate([wide, np.zeros((max(0, n - len(x)), channels), np.float32)])


def _divided(held: Float32, weight: Float32) -> Float32:
    return np.divide(held, weight, out=np.zeros_like(held), where=weight > 0)
