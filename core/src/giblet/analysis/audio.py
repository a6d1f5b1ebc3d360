"""How like the original a reconstructed sound is; sounds are mono float [N] at one rate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from giblet.analysis.scores import Real, pearson
from giblet.errors import DataError
from giblet.media import read_sound
from giblet.types import Features, Float, Int

PLAYED_HZ = 16_000
MAX_DB = 100.0
ENVELOPE_HZ = 50  # the syllable and beat rates of speech and music lie below 25 Hz


def metrics(original: Float, reconstruction: Float, rate_hz: int = 16_000) -> dict[str, float]:
    """SI-SDR (dB), correlation of envelopes and of log spectra of two sounds [N]."""
    return {
        "si_sdr_db": si_sdr(original, reconstruction),
        "envelope_r": envelope_correlation(original, reconstruction, rate_hz),
        "spectrum_r": spectrum_correlation(original, reconstruction, rate_hz),
    }


def compare(
    versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int
) -> Mapping[str, Mapping[str, float | None]]:
    """`metrics` of each version against the `original` as they are played: files at 16 kHz, cut to the shortest.

    `permuted` has no file: it is what is heard of `measured`, shifted in a circle by half of the TRs, as many as
    `counts` [T] has entries. To shift TRs and then make sound of them differs at the seams only.
    """
    played = {v: _played(path) for v, path in files.items()}
    n = min(map(len, played.values()))
    sounds = {v: x[:n] for v, x in played.items()}
    if "permuted" in versions:
        sounds["permuted"] = np.roll(sounds["measured"], round(n * (len(counts) // 2) / len(counts)))
    return {v: metrics(sounds["original"], sounds[v], PLAYED_HZ) for v in versions if v != "original"}


def _played(path: Path) -> Real:
    return np.concatenate([chunk.values[:, 0] for chunk in read_sound(path, PLAYED_HZ)]).astype(np.float64)


def _same_shape(a: Float, b: Float, ndim: int) -> None:
    if a.shape != b.shape or a.ndim != ndim or not len(a):
        axes = "[N]" if ndim == 1 else "[n, mels]"
        raise DataError(f"cannot compare sounds of shapes {a.shape} and {b.shape}; both must be the same {axes}")


def si_sdr(original: Float, reconstruction: Float) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, -100 to 100 (Le Roux 2019, doi:10.1109/ICASSP.2019.8683855)."""
    _same_shape(original, reconstruction, 1)
    s, estimate = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (original, reconstruction))
    target = s * (estimate @ s / max(float(s @ s), np.finfo(float).tiny))
    signal, noise = float(target @ target), float(np.square(estimate - target).sum())
    if not noise * signal:
        return MAX_DB if signal else -MAX_DB
    return float(np.clip(10 * np.log10(signal / noise), -MAX_DB, MAX_DB))


def envelope(x: Float, rate_hz: int) -> Real:
    """Root mean square amplitude of consecutive windows of 20 ms, [N] -> [windows]."""
    hop = max(rate_hz // ENVELOPE_HZ, 1)
    whole = np.asarray(x[: len(x) // hop * hop], np.float64)
    return np.asarray(np.sqrt(np.square(whole.reshape(-1, hop)).mean(1)))


def envelope_correlation(original: Float, reconstruction: Float, rate_hz: int) -> float:
    """Correlation of the loudness envelopes; 0 if either is constant.

    Raises
    ------
    DataError
        If the shapes differ or the sounds are shorter than 40 ms.
    """
    _same_shape(original, reconstruction, 1)
    if len(original) < 2 * rate_hz / ENVELOPE_HZ:
        raise DataError(f"an envelope needs at least 40 ms of sound, not {len(original) / rate_hz:.3f} s")
    return float(pearson(envelope(original, rate_hz), envelope(reconstruction, rate_hz)))


def mel_correlation(a: Float, b: Float) -> float:
    """Mean over mel bands of the correlation over time of log-mel spectrograms [n, mels]; constant bands count 0."""
    _same_shape(a, b, 2)
    return float(pearson(a, b).mean())


def spectrum_correlation(original: Float, reconstruction: Float, rate_hz: int) -> float:
    """Mean over bands of the correlation over time of log power in 32 ms windows; bands of 1/3 octave from 100 Hz.

    Power is floored at 80 dB below the original's peak, so that digital silence does not rule the score.

    Raises
    ------
    DataError
        If the shapes differ or the sounds are shorter than two windows.
    """
    _same_shape(original, reconstruction, 1)
    powers = [_band_power(x, rate_hz) for x in (original, reconstruction)]
    floor = max(powers[0].max() * 1e-8, np.finfo(float).tiny)
    return mel_correlation(*(np.log(np.maximum(p, floor)) for p in powers))


def _band_power(x: Float, rate_hz: int) -> Real:
    """Power in bands of a third of an octave, [windows, bands]."""
    from scipy.signal import ShortTimeFFT, get_window

    size = round(0.032 * rate_hz)
    if len(x) < 2 * size:
        raise DataError(f"a spectrum needs at least 64 ms of sound, not {len(x) / rate_hz:.3f} s")
    power = ShortTimeFFT(get_window("hann", size), size // 2, rate_hz).spectrogram(np.asarray(x, np.float64))
    edges = np.append(100 * 2 ** np.arange(0, np.log2(rate_hz / 200), 1 / 3), rate_hz / 2)
    band = np.digitize(np.fft.rfftfreq(size, 1 / rate_hz), edges)
    return np.stack([power[band == b].sum(0) for b in np.unique(band) if b], axis=1)
