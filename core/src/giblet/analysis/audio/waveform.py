"""Samples and loudness of two sounds, compared; sounds are mono float [N] at one rate."""

from __future__ import annotations

import numpy as np

from giblet.analysis.scores import Real, pearson
from giblet.errors import DataError
from giblet.media import rhythm
from giblet.types import Float

MAX_DB = 100.0
"""What a copy scores: no more, so that means stay finite; no less than the negative of it."""
SILENT = 1e-4
"""A sound that nowhere exceeds this, 80 dB below full scale, is silent: 16 bits have three steps below it."""
RHYTHM_S = 2.0
"""A window of loudness in which a rhythm of 1 Hz has two beats."""
ENVELOPE_HZ = 50  # the syllable and beat rates of speech and music lie below 25 Hz


def as_pair(original: Float, made: Float) -> tuple[Real, Real]:
    """Both sounds as float64, if they can be compared.

    Raises
    ------
    DataError
        If the shapes differ, a value is not finite, or the original is silent.
    """
    if original.shape != made.shape or original.ndim != 1 or not len(original):
        raise DataError(f"cannot compare sounds of shapes {original.shape} and {made.shape}; both must be the same [N]")
    x, y = np.asarray(original, np.float64), np.asarray(made, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("values that are not finite")
    if is_silent(x):
        raise DataError("the original is silent")
    return x, y


def is_silent(sound: Real) -> bool:
    """Whether nothing of a sound [N] is heard."""
    return bool(np.abs(sound).max() < SILENT)


def require_length(sound: Real, least_s: float, rate_hz: int) -> None:
    """Refuse sounds of which a metric cannot say anything.

    Raises
    ------
    DataError
        If they are shorter than `least_s`.
    """
    if len(sound) < least_s * rate_hz:
        raise DataError(f"shorter than {least_s:g} s")


def snr(original: Float, made: Float) -> float:
    """Signal-to-noise ratio in dB: the original's power over that of the difference; silence has 0.

    Raises
    ------
    DataError
        As `as_pair`.
    """
    x, y = as_pair(original, made)
    return _decibel(float(x @ x), float(np.square(x - y).sum()))


def si_sdr(original: Float, made: Float) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, doi:10.1109/ICASSP.2019.8683855).

    Silence, of which there is no scale, has the least there is: -100.

    Raises
    ------
    DataError
        As `as_pair`.
    """
    x, y = as_pair(original, made)
    if is_silent(y):
        return -MAX_DB
    x, y = x - x.mean(), y - y.mean()
    target = x * (y @ x / max(float(x @ x), np.finfo(float).tiny))
    return _decibel(float(target @ target), float(np.square(y - target).sum()))


def _decibel(signal: float, noise: float) -> float:
    if not noise * signal:
        return MAX_DB if signal else -MAX_DB
    return float(np.clip(10 * np.log10(signal / noise), -MAX_DB, MAX_DB))


def envelope(x: Float, rate_hz: int) -> Real:
    """Root mean square amplitude of consecutive windows of 20 ms, [N] -> [windows]."""
    hop = max(rate_hz // ENVELOPE_HZ, 1)
    whole = np.asarray(x[: len(x) // hop * hop], np.float64)
    return np.asarray(np.sqrt(np.square(whole.reshape(-1, hop)).mean(1)))


def envelope_correlation(original: Float, made: Float, rate_hz: int) -> float:
    """Correlation of the loudness envelopes; 0 if either is constant.

    Raises
    ------
    DataError
        As `as_pair`, or if the sounds are shorter than 40 ms.
    """
    x, y = as_pair(original, made)
    if len(x) < 2 * rate_hz / ENVELOPE_HZ:
        raise DataError("shorter than 40 ms")
    return float(pearson(envelope(x, rate_hz), envelope(y, rate_hz)))


def rhythm_rates(x: Float, rate_hz: int) -> Real:
    """How fast loudness goes up and down, in octaves above 1 Hz, in windows of 2 s every half second: [N] -> [n]."""
    loud = envelope(x, rate_hz)
    windows = np.lib.stride_tricks.sliding_window_view(loud, round(RHYTHM_S * ENVELOPE_HZ))
    return np.asarray(rhythm(windows[:: ENVELOPE_HZ // 2], ENVELOPE_HZ)[0])


def rhythm_correlation(original: Float, made: Float, rate_hz: int) -> float:
    """Correlation over time of the rates of two rhythms (`rhythm_rates`), whatever their phases.

    Raises
    ------
    DataError
        As `as_pair`, or if the sounds are shorter than five windows.
    """
    x, y = as_pair(original, made)
    require_length(x, 5 * RHYTHM_S, rate_hz)
    return float(pearson(rhythm_rates(x, rate_hz), rhythm_rates(y, rate_hz)))
