"""Mel spectra of two sounds, compared."""

from __future__ import annotations

import numpy as np

from giblet.analysis.audio.waveform import as_pair
from giblet.analysis.scores import Real, is_constant, pearson
from giblet.errors import DataError
from giblet.types import Float

MELS = 80
WINDOW, HOP = 1024, 256
RANGE_DB = 80.0
"""Power is floored so far below the original's peak, so that what nobody hears does not rule the score."""


def log_mel(x: Float, rate_hz: int, top_db: float | None = None) -> Real:
    """Power in dB of 80 mel bands by librosa's definition, [N] -> [n, 80], no less than `top_db` - 80."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=np.asarray(x, np.float32), sr=rate_hz, n_fft=WINDOW, hop_length=HOP, n_mels=MELS
    )
    db = 10 * np.log10(np.maximum(power.T.astype(np.float64), np.finfo(float).tiny))
    return np.asarray(np.maximum(db, (db.max() if top_db is None else top_db) - RANGE_DB))


def mel_correlation(original: Float, made: Float, rate_hz: int) -> float:
    """Mean over mel bands of the correlation over time of log power.

    Bands in which the original does not change are left out; one that changes in the original alone counts 0.

    Raises
    ------
    DataError
        As `as_pair`, or if the sounds are shorter than two windows, or the original changes in no band.
    """
    x, y = as_pair(original, made)
    if len(x) < 2 * WINDOW:
        raise DataError(f"shorter than {2 * WINDOW / rate_hz:.3g} s")
    a = log_mel(x, rate_hz)
    b = log_mel(y, rate_hz, float(a.max()))
    changing = ~is_constant(a)
    if not changing.any():
        raise DataError("the original's spectrum does not change")
    return float(pearson(a[:, changing], b[:, changing]).mean())
