"""Sounds that are no speech: chords of additive and FM notes, drums, and coloured, modulated noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
RATE_HZ = 24_000
NYQUIST_HZ = RATE_HZ / 2


def music(rng: np.random.Generator, duration_s: float) -> Float32:
    """Notes of one scale on a beat, often several at once, sometimes over drums, [n] at 24 kHz."""
    out = np.zeros(int(duration_s * RATE_HZ), np.float32)
    beat_s, root_hz = rng.uniform(0.15, 0.6), rng.uniform(80, 300)
    drums = rng.random() < 0.5
    for onset_s in np.arange(0, duration_s, beat_s):
        for _ in range(rng.integers(1, 4)):
            semitones = rng.choice([0, 2, 4, 5, 7, 9, 11]) + 12 * rng.integers(0, 3)
            _add(out, onset_s, _note(rng, root_hz * 2 ** (semitones / 12), beat_s * rng.uniform(0.8, 3)))
        if drums and rng.random() < 0.7:
            _add(out, onset_s, _drum(rng))
    return out


def noise(rng: np.random.Generator, duration_s: float) -> Float32:
    """Noise with a random spectral slope whose loudness wanders, [n] at 24 kHz."""
    n = int(duration_s * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 30.0)
    coloured = np.fft.irfft(spectrum * hz ** -rng.uniform(0, 1.2), n)
    knots = rng.uniform(-25, 0, max(int(duration_s * rng.uniform(1, 8)), 2))
    level_db = np.interp(np.linspace(0, len(knots) - 1, n), np.arange(len(knots)), knots)
    return np.asarray(0.2 * coloured / coloured.std() * 10 ** (level_db / 20), np.float32)


def _note(rng: np.random.Generator, pitch_hz: float, duration_s: float) -> Float32:
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    envelope = np.minimum(t / rng.uniform(0.002, 0.05), 1) * np.exp(-t * rng.uniform(0.5, 8))
    phase = 2 * np.pi * pitch_hz * t + rng.uniform(0, 5) * np.sin(2 * np.pi * rng.uniform(4, 7) * t) / 10
    tone = _fm(rng, phase, t) if rng.random() < 0.4 else _additive(rng, phase, pitch_hz)
    return np.asarray(envelope * tone * rng.uniform(0.03, 0.2), np.float32)


def _additive(rng: np.random.Generator, phase: NDArray[np.float64], pitch_hz: float) -> NDArray[np.float64]:
    """Partials below the Nyquist frequency that fall off as a power of their number."""
    slope, partials = rng.uniform(0.5, 2.0), range(1, int(min(20, NYQUIST_HZ / 1.1 // pitch_hz)) + 1)
    return sum(
        (np.sin(k * phase + rng.uniform(0, 2 * np.pi)) * k**-slope for k in partials), start=np.zeros_like(phase)
    )


def _fm(rng: np.random.Generator, phase: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequency modulation whose brightness decays (Chowning 1973, JAES 21(7))."""
    index = rng.uniform(0.5, 4) * np.exp(-t * rng.uniform(1, 6))
    return np.sin(phase + index * np.sin(rng.choice([0.5, 1, 2, 3, 3.5]) * phase))


def _drum(rng: np.random.Generator) -> Float32:
    t = np.arange(int(0.2 * RATE_HZ)) / RATE_HZ
    kick = np.sin(2 * np.pi * rng.uniform(50, 120) * t + 6 * np.exp(-t * 40))
    hiss = rng.standard_normal(len(t))
    share = rng.random()
    return np.asarray(0.3 * (share * kick + (1 - share) * hiss) * np.exp(-t * rng.uniform(10, 60)), np.float32)


def _add(out: Float32, onset_s: float, sound: Float32) -> None:
    at = int(onset_s * RATE_HZ)
    room = len(out) - at
    out[at : at + len(sound)] += sound[:room]
