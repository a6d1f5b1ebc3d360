"""What happens to a sound on its way to a recording: a room, a microphone's colour, a level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Float32 = NDArray[np.float32]
RATE_HZ = 24_000


def record(sound: Float32, rng: np.random.Generator) -> Float32:
    """`sound` [n] in a room (one time in two), equalised, at a level between -32 and -16 dB of full scale."""
    if rng.random() < 0.5:
        sound = in_room(sound, rng)
    sound = equalised(sound, rng)
    level = 10 ** (rng.uniform(-32, -16) / 20)
    return np.asarray(np.clip(sound * level / (_loudness(sound) + 1e-6), -0.99, 0.99), np.float32)


def in_room(sound: Float32, rng: np.random.Generator) -> Float32:
    """Direct sound, then noise that decays by 60 dB within 0.15 to 0.8 s, [n]."""
    decay_s = rng.uniform(0.15, 0.8)
    t = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay_s)
    tail[: int(rng.uniform(0.001, 0.02) * RATE_HZ)] = 0
    tail *= 10 ** (rng.uniform(-18, -2) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return np.asarray(fftconvolve(sound, tail)[: len(sound)], np.float32)


def equalised(sound: Float32, rng: np.random.Generator) -> Float32:
    """Gains of 5 dB standard deviation, smooth in log frequency, and a random low cut; zero phase, [n]."""
    n = len(sound)
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    octaves = np.log2(np.maximum(hz, 40) / 40)
    gain_db = np.interp(octaves, np.linspace(0, 8.3, 7), rng.normal(0, 5, 7))
    low_cut = 1 / (1 + (rng.uniform(20, 120) / np.maximum(hz, 1)) ** 4)
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * 10 ** (gain_db / 20) * low_cut, n), np.float32)


def _loudness(sound: Float32) -> float:
    """Root mean square of the louder half of the sound."""
    power = np.sort(sound.astype(np.float64) ** 2)
    return float(np.sqrt(power[len(power) // 2 :].mean()))
