"""Long sound in pieces: whatever the pieces, the codes are those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from giblet.types import Array, Features, Int, Source

from giblet_audio_encodec.codec import Codec, Float32
from giblet_audio_encodec.rhythm import LevelMeter

if TYPE_CHECKING:
    from giblet_audio_encodec.targets import Target

Play = Callable[[Array], Float32]
"""Values of frames [n, *S] to sound [n * hop, channels]."""

PIECE_FRAMES = 750
"""Ten seconds are decoded at once: longer calls are slower, and an hour in one call runs out of memory."""
WARM_FRAMES = 150
"""Two seconds before a piece settle the codec's LSTM; what is made of them is dropped."""


def piece_features(way: Target, source: Source) -> Iterator[Features]:
    """Features of one sound stream; a cut is a sound of its own. Frame k begins k * hop after its first sample."""
    from giblet.media import read_sound

    codec, first, done = way.codec, list[int](), 0
    meter = LevelMeter(codec.hop)

    def chunks() -> Iterator[Float32]:
        for chunk in read_sound(
            source.path, codec.rate_hz, source.stream, codec.channels, source.start_s, source.stop_s
        ):
            first.append(int(chunk.ticks[0]))
            yield meter.hear(chunk.values)

    for values, n_samples in way.stream(chunks()):
        ticks = first[0] + codec.hop * np.arange(done, done + len(values), dtype=np.int64)
        done += len(values)
        attrs = {"n_samples": n_samples, "rate_hz": codec.rate_hz, "num_classes": codec.num_classes}
        of_frames = {"level_db": meter.take(len(values))}
        yield Features(values, ticks, Fraction(1, codec.rate_hz), attrs=attrs | of_frames)


def cut_blocks(sound: Iterable[Float32], hop: int, frames: int, context: int) -> Iterator[tuple[Float32, int, int]]:
    """Sound in chunks of any length as blocks of `frames` frames, each with up to `context` frames before it.

    Yields the samples, how many frames of context they begin with, and how many samples were read so far. Blocks are
    cut at multiples of `hop`; frame k covers samples k * hop to (k + 1) * hop, and N samples give ceil(N / hop) frames.
    """
    held, before, seen = np.zeros(0, np.float32), 0, 0
    for chunk in sound:
        seen += len(chunk)
        held = np.concatenate([held, chunk]) if len(held) else chunk
        while len(held) > (before + frames) * hop:
            end = (before + frames) * hop
            yield held[:end], before, seen
            keep = min(context, before + frames)
            held, before = held[end - keep * hop :], keep
    if len(held) > before * hop:
        yield held, before, seen


def decode_pieces(values: Array, play: Play, hop: int, piece: int = PIECE_FRAMES) -> Iterator[Float32]:
    """Sound of values [N, *S], piece after piece, each with the frames before it as a warm-up."""
    for start in range(0, len(values), piece):
        first = max(0, start - WARM_FRAMES)
        yield play(values[first : start + piece])[(start - first) * hop :]


def play_frames(codec: Codec, play: Play, values: Array, frame: Int) -> Iterator[Float32]:
    """Sound [n, channels] of values [N, *S] that lie in frames [N], piece after piece; silence where there is none."""
    at = int(frame[0])
    for run in np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame) != 1) + 1):
        for silent in range(at, int(frame[run[0]]), PIECE_FRAMES):
            yield np.zeros((min(PIECE_FRAMES, int(frame[run[0]]) - silent) * codec.hop, codec.channels), np.float32)
        yield from decode_pieces(values[run], play, codec.hop)
        at = int(frame[run[-1]]) + 1
