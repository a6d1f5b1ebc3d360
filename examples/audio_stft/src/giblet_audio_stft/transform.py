"""The short-time Fourier transform and its inverse, in pieces, so that memory does not grow with the sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Sound = NDArray[np.float32]
Spectra = NDArray[np.complex64]

BLOCK_FRAMES = 4096
"""At most so many frames are transformed at once."""


class Stft(NamedTuple):
    """What defines the transform: samples in a window, and from one window to the next."""

    n_fft: int
    hop: int

    @property
    def window(self) -> NDArray[np.float64]:
        """Hann, periodic, [n_fft]; it sums to 2, so that a sine of amplitude a has the magnitude a."""
        return (1 - np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)) * 2 / self.n_fft

    def frames_of(self, samples: int) -> int:
        """How many windows lie wholly in so many samples."""
        return 1 + (samples - self.n_fft) // self.hop if samples >= self.n_fft else 0


def spectra(sound: Sound, stft: Stft) -> Spectra:
    """The windows that lie wholly in sound [n], [N, 1 + n_fft // 2]; window k begins at k * hop."""
    windows = sliding_window_view(sound, stft.n_fft)[:: stft.hop]
    return np.fft.rfft(windows * stft.window).astype(np.complex64)


def stream(sound: Iterable[Sound], stft: Stft) -> Iterator[tuple[Spectra, int]]:
    """Spectra [n, bins] of sound in pieces [n], with the number of samples that were read so far.

    Window k is centred at sample k * hop, with zeros before and after the sound: N samples give 1 + N // hop windows.
    """
    margin = np.zeros(stft.n_fft // 2, np.float32)
    rest, seen = margin, 0
    for piece in sound:
        seen += len(piece)
        rest = np.concatenate([rest, piece])
        while (n := min(BLOCK_FRAMES, stft.frames_of(len(rest)))) > 0:
            yield spectra(rest[: (n - 1) * stft.hop + stft.n_fft], stft), seen
            rest = rest[n * stft.hop :]
    rest = np.concatenate([rest, margin])
    if stft.frames_of(len(rest)) > 0:
        yield spectra(rest, stft), seen


def inverse(values: Spectra, stft: Stft, n_samples: int) -> Sound:
    """The sound [n_samples] of spectra [N, bins]: exact for those of a sound, the nearest in squared error for others.

    Weighted overlap-add (Griffin & Lim 1984, doi:10.1109/TASSP.1984.1164317, eq. 6).
    """
    hops = stft.n_fft // stft.hop
    sound, weight = np.zeros((2, len(values) + hops, stft.hop))
    squared = np.square(stft.window).reshape(hops, stft.hop)
    for start in range(0, len(values), BLOCK_FRAMES):
        block = values[start : start + BLOCK_FRAMES]
        windows = np.fft.irfft(block, stft.n_fft) * stft.window
        parts = windows.reshape(len(block), hops, stft.hop)
        for k in range(hops):
            sound[start + k : start + k + len(block)] += parts[:, k]
            weight[start + k : start + k + len(block)] += squared[k]
    inside = slice(stft.n_fft // 2, stft.n_fft // 2 + n_samples)
    return (sound.ravel()[inside] / weight.ravel()[inside]).astype(np.float32)
