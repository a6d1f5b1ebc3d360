"""The demo's sound: a sung vowel at a pitch, pulsing in a rhythm."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.data.demo.schedule import FPS_HZ, Float64, stream
from giblet.data.demo.world import World

RATE_HZ = 24_000
FORMANTS_HZ = ((730.0, 1090.0, 2440.0), (270.0, 2290.0, 3010.0), (300.0, 870.0, 2240.0))
"""Men's a, i and u (Peterson and Barney 1952, doi:10.1121/1.1906875)."""
BANDWIDTH_HZ = 90.0
DEPTH = 0.85
"""How deep the rhythm cuts into the sound: the share of the amplitude that pulses."""
LEVEL, HISS = 0.12, 0.0015


def sound(world: World, run: int) -> NDArray[np.float32]:
    """The sound of a run, [N] mono at 24 kHz, exactly as long as its film."""
    rng = stream(world.seed, "sound", run)
    units = world.units
    shots = [np.flatnonzero(units.shot == shot) for shot in np.unique(units.shot[units.run == run])]
    parts = [_shot(world, int(m[0]), _samples(units.stop[m[-1]]) - _samples(units.start[m[0]])) for m in shots]
    wave = np.concatenate(parts)
    return np.asarray(LEVEL * wave + HISS * rng.standard_normal(len(wave), np.float32), np.float32)


def _samples(frame: int) -> int:
    return round(frame * RATE_HZ / FPS_HZ)


def _shot(world: World, unit: int, n: int) -> NDArray[np.float32]:
    """One shot, [n]: a cycle of the vowel read at the pitch, under an envelope that pulses in the rhythm."""
    pitch_hz, rhythm_hz = world.value("pitch")[unit], world.value("rhythm")[unit]
    cycle = _cycle(pitch_hz, FORMANTS_HZ[world.level["vowel"][unit]])
    seconds = np.arange(n) / RATE_HZ
    tone = cycle[(seconds * pitch_hz * len(cycle)).astype(np.int64) % len(cycle)]
    pulse = (0.5 - 0.5 * np.cos(2 * np.pi * rhythm_hz * seconds)) ** 2
    return np.asarray(tone * (1 - DEPTH + DEPTH * pulse), np.float32)


def _cycle(pitch_hz: float, formants_hz: tuple[float, ...], points: int = 4096) -> Float64:
    """One cycle of a vowel with unit power, [points]: harmonics below 5 kHz, each as loud as the formants let it."""
    harmonic = np.arange(1, int(5000 / pitch_hz) + 1)
    frequency = harmonic[:, None] * pitch_hz
    gain = 1 / (1 + ((frequency - np.array(formants_hz)) / BANDWIDTH_HZ) ** 2) * np.array([1.0, 0.6, 0.35])
    phase = 2 * np.pi * np.arange(points) / points
    cycle: NDArray[Any] = np.sin(harmonic[:, None] * phase + harmonic[:, None] ** 2).T @ (gain.sum(1) + 0.01)
    return np.asarray(cycle / cycle.std())
