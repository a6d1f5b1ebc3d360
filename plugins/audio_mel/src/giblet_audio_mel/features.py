"""Mel spectrograms by librosa's definition, streamed: sound in pieces gives what the whole sound gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

BLOCK_FRAMES = 4096
"""At most so many frames are transformed at once: 33 MB of spectrum at n_fft 1024."""


class Mel(NamedTuple):
    """What defines a mel spectrogram; hashable, so that filters are made once."""

    rate_hz: int
    n_fft: int
    hop: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float


@lru_cache(maxsize=8)
def mel_filters(mel: Mel) -> Float32:
    """Slaney's triangular filters with unit area, [n_mels, 1 + n_fft // 2], as librosa makes them."""
    from librosa.filters import mel as slaney

    filters = slaney(sr=mel.rate_hz, n_fft=mel.n_fft, n_mels=mel.n_mels, fmin=mel.fmin_hz, fmax=mel.fmax_hz)
    return np.asarray(filters, np.float32)


def mel_db(sound: Float32, mel: Mel) -> Float32:
    """Power in dB re 1, [N, *C, n_mels], of the frames wholly in `sound` [n, *C]; frame k begins at k * hop."""
    import librosa

    spectrum = librosa.stft(np.ascontiguousarray(sound.T), n_fft=mel.n_fft, hop_length=mel.hop, center=False)
    power = np.moveaxis(mel_filters(mel) @ np.abs(spectrum) ** 2, -1, 0)  # one by one: like channels stay alike
    return np.ascontiguousarray(librosa.power_to_db(power, ref=1.0, top_db=None), np.float32)


def mfcc(db: Float32, n: int) -> Float32:
    """The first n cepstral coefficients of mel power in dB, [..., n_mels] -> [..., n], as librosa makes them of it."""
    from scipy.fft import dct

    return np.asarray(dct(db, axis=-1, type=2, norm="ortho")[..., :n], np.float32)


def mel_stream(sound: Iterable[Float32], mel: Mel) -> Iterator[tuple[Float32, int]]:
    """Frames [n, *C, n_mels] of sound in pieces [n, *C], with the number of samples that were read so far.

    Frame k is centred at sample k * hop and zeros stand before and after the sound, as in librosa with `center=True`:
    N samples give 1 + N // hop frames.
    """
    pieces = iter(sound)
    head = next(pieces, np.zeros(0, np.float32))
    margin = np.zeros((mel.n_fft // 2, *head.shape[1:]), np.float32)
    rest, seen = margin, 0
    for piece in chain([head], pieces):
        seen += len(piece)
        rest = np.concatenate([rest, piece])
        while (n := min(BLOCK_FRAMES, _whole_frames(len(rest), mel))) > 0:
            yield mel_db(rest[: (n - 1) * mel.hop + mel.n_fft], mel), seen
            rest = rest[n * mel.hop :]
    rest = np.concatenate([rest, margin])
    if _whole_frames(len(rest), mel) > 0:
        yield mel_db(rest, mel), seen


def _whole_frames(samples: int, mel: Mel) -> int:
    return 1 + (samples - mel.n_fft) // mel.hop if samples >= mel.n_fft else 0


MODULATION_HZ = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Rhythms of sound that cortex follows, syllables at 4 Hz among them (Chi et al. 1999, doi:10.1121/1.428100)."""
SUMMARY_BANDS = 16
ENVELOPES = 4


def band_summary(db: Float32, mask: NDArray[np.bool_], frame_s: float) -> Float32:
    """A few numbers a TR from dB [n, F, n_mels] and mask [n, F]: [n, 57].

    Mean and SD over the frames of 16 bands, and the log energy of the envelope's modulation at 1, 2, 4, 8 and 16 Hz,
    of the whole sound and of four bands.
    """
    there = mask.astype(np.float32)[:, :, None]
    count = np.maximum(there.sum(1), 1)
    bands = _group(db, SUMMARY_BANDS) * there
    mean = bands.sum(1) / count
    spread = np.sqrt(((bands - mean[:, None]) ** 2 * there).sum(1) / count)
    envelopes = np.concatenate([_group(db, 1), _group(db, ENVELOPES)], axis=2)
    return np.concatenate([mean, spread, _modulation(envelopes, there, frame_s)], axis=1).astype(np.float32)


def _group(db: Float32, groups: int) -> Float32:
    return np.stack([part.mean(2) for part in np.array_split(db, groups, axis=2)], axis=2)


def _modulation(envelopes: Float32, there: Float32, frame_s: float) -> Float32:
    """Log amplitude in dB at each modulation frequency, [n, 5 * E], of envelopes [n, F, E], Hann-windowed in the TR."""
    count = there.sum(1, keepdims=True)
    centred = (envelopes - (envelopes * there).sum(1, keepdims=True) / np.maximum(count, 1)) * there
    frame = np.arange(envelopes.shape[1])
    window = np.sin(np.pi * (frame[None, :, None] + 0.5) / np.maximum(count, 1)) ** 2 * there
    waves = np.exp(-2j * np.pi * np.outer(frame * frame_s, MODULATION_HZ))
    amplitude = np.abs(np.einsum("nfe,fm->nme", centred * window, waves)) / np.maximum(window.sum(1, keepdims=True), 1)
    return np.asarray(np.log1p(amplitude).reshape(len(envelopes), -1), np.float32)
