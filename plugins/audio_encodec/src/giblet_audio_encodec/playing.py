"""Sound of features, piece after piece, as long as the sound was that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from giblet.types import Features

from giblet_audio_encodec.chunks import play_chunks
from giblet_audio_encodec.codec import Codec, Float32
from giblet_audio_encodec.pieces import play_frames
from giblet_audio_encodec.rhythm import beating
from giblet_audio_encodec.targets import Target


def play_features(way: Target, features: Features) -> Iterator[Float32]:
    """Sound [n, channels], beginning with the first frame.

    Of chunks, `attrs["places"]` says where in its chunk the first frame lies; without it, a chunk begins there.
    Where `attrs["summary"]` was read from scans, the sound gets the rhythm that it tells of.
    """
    codec = way.codec
    frame = (features.ticks - features.ticks[0]) // codec.frame_samples.numerator
    if codec.chunk:
        sound = play_chunks(codec, way.play, features.values, frame, int(features.attrs.get("places", [0])[0]))
    else:
        sound = play_frames(codec, way.play, features.values, frame)
    made = round((int(frame[-1]) + 1) * codec.frame_samples)
    whole = whole_length(codec, made, int(features.attrs.get("n_samples", 0)))
    sound = to_length(sound, whole, codec.channels)
    summary = features.attrs.get("summary")
    return sound if summary is None else beating(sound, summary, whole, codec.rate_hz)


def whole_length(codec: Codec, made: int, whole: int) -> int:
    """Samples of the sound that `made` samples come from: `whole`, where that differs by the edge of a frame only."""
    edge = codec.hop + (codec.chunk - codec.stride if codec.chunk else 0)
    return whole if whole and abs(made - whole) <= edge else made


def to_length(pieces: Iterable[Float32], n_samples: int, channels: int) -> Iterator[Float32]:
    """Pieces of sound [n, channels] cut to a length, or filled with silence up to it."""
    left = n_samples
    for piece in pieces:
        if left > 0:
            yield piece[:left]
        left -= len(piece)
    if left > 0:
        yield np.zeros((left, channels), np.float32)
