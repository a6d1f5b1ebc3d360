"""How fast the loudness of a sound goes up and down, whatever its phase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from giblet.types import Float

SLOWEST_HZ, FASTEST_HZ = 0.7, 20.0
"""Rhythms that auditory cortex follows (Chi et al. 1999, doi:10.1121/1.428100); slower ones are changes of loudness."""


def rhythm(level: Float, rate_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rate of each stretch of loudness [n, F] in octaves above 1 Hz, [n], and its depth in the same unit, [n].

    The rate is the centre of gravity, over octaves, of the power spectrum of a stretch's ups and downs under a Hann
    window; the depth is their SD. A steady stretch has no rate: the middle of the scale stands for it.
    """
    ups = np.asarray(level, np.float64) - level.mean(1, keepdims=True)
    points = 4 * ups.shape[1]
    hz = np.fft.rfftfreq(points, 1 / rate_hz)
    heard = (hz >= SLOWEST_HZ) & (hz <= FASTEST_HZ)
    octave = np.log2(hz[heard])
    power = np.abs(np.fft.rfft(ups * np.hanning(ups.shape[1] + 2)[1:-1], points))[:, heard] ** 2 / hz[heard]
    total = power.sum(1)
    middle = np.log2(SLOWEST_HZ * FASTEST_HZ) / 2
    depth = ups.std(1)
    steady = depth <= 1e-9 * np.maximum(np.abs(level).max(1), 1e-300)
    rate = np.where(steady, middle, power @ octave / np.where(steady, 1, total))
    return rate, np.where(steady, 0.0, depth)
