"""Long sound through the codec in pieces: whatever the pieces, the codes are those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from giblet_audio_encodec.codec import Codes, Float32

PIECE_FRAMES = 750
"""Ten seconds: longer calls are slower, and an hour in one call runs out of memory."""
WARM_FRAMES = 150
"""Two seconds of sound before a piece settle the codec's LSTM; their codes are dropped."""


def encode_stream(
    sound: Iterable[Float32], encode: Callable[[Float32], Codes], hop: int, piece: int = PIECE_FRAMES
) -> Iterator[tuple[Codes, int]]:
    """Codes [n, C] of sound in chunks [n] of any length, with the number of samples that were read so far.

    Pieces are cut at multiples of `hop`; frame k covers samples k * hop to (k + 1) * hop, and N samples give
    ceil(N / hop) frames.
    """
    held, warm, seen = np.zeros(0, np.float32), 0, 0
    for chunk in sound:
        seen += len(chunk)
        held = np.concatenate([held, chunk])
        while len(held) > (warm + piece) * hop:
            end = (warm + piece) * hop
            yield encode(held[:end])[warm:], seen
            keep = min(WARM_FRAMES, warm + piece)
            held, warm = held[end - keep * hop :], keep
    if len(held) > warm * hop:
        yield encode(held)[warm:], seen


def decode_pieces(
    codes: Codes, decode: Callable[[Codes], Float32], hop: int, piece: int = PIECE_FRAMES
) -> Iterator[Float32]:
    """Sound [n * hop] of codes [N, C], piece after piece, each with the frames before it as a warm-up."""
    for start in range(0, len(codes), piece):
        first = max(0, start - WARM_FRAMES)
        yield decode(codes[first : start + piece])[(start - first) * hop :]
