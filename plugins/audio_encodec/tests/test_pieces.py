"""Long sound in pieces: the codes are those of the whole, no frame is lost, and lengths are exact."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet.types import Features, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import Codec, load_codec
from giblet_audio_encodec.pieces import cut_blocks, decode_pieces
from giblet_audio_encodec.streaming import LatentStream, embed_stream
from hypothesis import given, settings
from hypothesis import strategies as st

RATE_HZ = 24_000


def assert_same_codes(got: np.ndarray, want: np.ndarray, codec: Codec, sound: np.ndarray) -> None:
    """The same codes, but where two vectors are equally near to within the rounding of float32; that is rare."""
    assert got.shape == want.shape
    frames = np.flatnonzero((got != want).any(1))
    assert len(frames) <= max(1, 1e-3 * len(want))
    with torch.inference_mode():
        latents = codec.model.encoder(torch.from_numpy(sound)[None, None])[0].T.double()
    vectors = codec.vectors(want.shape[1]).double()
    for frame in frames:
        book = int(np.flatnonzero(got[frame] != want[frame])[0])
        residual = latents[frame] - sum(vectors[b, want[frame, b]] for b in range(book))
        one, other = ((residual - vectors[book, codes[frame, book]]).square().sum() for codes in (got, want))
        assert abs(one - other) < 1e-5 * (residual.square().sum() + vectors[book].square().sum(1).max())


def in_pieces(codec: Codec, chunks, frames: int = 2250) -> np.ndarray:
    return np.concatenate([codec.quantise(z, 3.0) for z, _ in embed_stream(codec, chunks, frames)])


@pytest.mark.parametrize("name", ["small", "bundled"])
def test_long_sound_in_pieces_gives_the_codes_of_the_whole(name, weights, melody):
    codec, sound = load_codec(weights if name == "small" else name), melody(41.3, seed=5)
    made = [in_pieces(codec, (sound[i : i + n] for i in range(0, len(sound), n))) for n in (7_000, 200_000)]
    np.testing.assert_array_equal(made[0], made[1])
    assert_same_codes(made[0], codec.encode(sound, 3.0), codec, sound)


def test_other_block_sizes_give_the_same_codes(weights, melody):
    codec, sound = load_codec(weights), melody(10.0, seed=6)
    want = codec.encode(sound, 3.0)
    for frames in (151, 400):
        assert_same_codes(in_pieces(codec, [sound], frames), want, codec, sound)


def test_convolutions_reach_back_as_far_as_is_counted(weights):
    """An impulse before the context of a block changes none of its features; one inside it does."""
    codec = load_codec(weights)
    stream = LatentStream(codec)
    assert (stream.context, stream.last_context) == (2, 6)

    def features(at: int) -> torch.Tensor:
        sound = torch.zeros(1, 1, 320 * 8)
        sound[0, 0, at] = 1
        with torch.inference_mode():
            return next(LatentStream(codec)._convolved(sound, 0))[:, :, 4:]

    silent = features(0)
    torch.testing.assert_close(features(2 * 320 - 1), silent)
    assert not torch.allclose(features(4 * 320 - 478), silent)


def test_a_piece_without_warm_up_would_give_other_codes(weights, melody):
    """The check above can fail: a cut without context changes codes."""
    codec, sound = load_codec(weights), melody(4.0, seed=7)
    cold = codec.encode(sound[RATE_HZ * 2 :], 3.0)
    assert (cold != codec.encode(sound, 3.0)[150:]).any(1).sum() >= 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=12), st.integers(1, 9))
def test_no_frame_is_lost_or_doubled(lengths, piece):
    sound = np.arange(sum(lengths), dtype=np.float32)
    chunks = np.split(sound, np.cumsum(lengths)[:-1])
    got = list(cut_blocks(chunks, 320, piece, 2))
    frames = np.concatenate([block[context * 320 :: 320] for block, context, _ in got]) if got else np.zeros(0)
    np.testing.assert_array_equal(frames, sound[::320])
    assert all(len(block) <= (piece + context) * 320 for block, context, _ in got)
    assert not got or got[-1][2] == len(sound)


def test_920_trs_have_103500_frames_and_give_them_back():
    n, chunk = 920 * 36_000, 720_000
    chunks = (np.zeros(chunk, np.float32) for _ in range(n // chunk))
    blocks = cut_blocks(chunks, 320, 2250, 2)
    codes = np.concatenate([block[context * 320 :: 320, None] for block, context, _ in blocks]).astype(np.int16)
    assert len(codes) == 103_500
    codes[:, 0] = np.arange(103_500) % 1024
    features = Features(codes, 320 * np.arange(103_500), Fraction(1, RATE_HZ))
    aligned = AudioEncodec.align(AudioEncodec(), features, TRGrid(seconds("1.5"), 920))
    rows, mask = aligned.rows(slice(None))
    assert set(aligned.count) == {112, 113}
    np.testing.assert_array_equal(rows[mask], codes)


def test_long_codes_are_decoded_in_pieces(weights, melody):
    codec = load_codec(weights)
    codes = codec.encode(melody(12.0, seed=3), 3.0)
    pieces = list(decode_pieces(codes, codec.decode, codec.hop, 200))
    assert len(pieces) == 5
    np.testing.assert_allclose(np.concatenate(pieces), codec.decode(codes), atol=1e-5)
