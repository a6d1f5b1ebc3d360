"""Batches of training sound: the batch of a step is the same whenever and wherever it is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
OTHER_SHARE, MIX_SHARE = 0.15, 0.15
"""Of the crops, those of music or noise alone, and those of speech with music or noise under it."""
RUMBLE_SHARE, RUMBLE_HZ = 0.1, (4.0, 60.0)
"""Of all crops, those with the rumble of real recordings, and where it lies."""
RATE_HZ = 24_000
FULL_SCALE = 32768


class Crops:
    """Crops [N] of the parts that `make_sound.py` wrote, mapped from disk.

    Parameters
    ----------
    folder
        Where `speech_*.npy` and `other_*.npy` are.
    n_samples
        Length of a crop.
    seed
        Another seed gives other batches.
    """

    def __init__(self, folder: Path, n_samples: int, seed: int) -> None:
        self.n_samples, self.seed = n_samples, seed
        self.speech, self.other = (
            [np.load(path, mmap_mode="r") for path in sorted(folder.glob(f"{kind}_*.npy"))]
            for kind in ("speech", "other")
        )
        if not self.speech or not self.other:
            raise FileNotFoundError(f"no speech_*.npy and other_*.npy in {folder}: run make_sound.py first")

    def batch(self, step: int, size: int) -> Float32:
        """Crops [B, N] of a step, as float32 in [-1, 1]."""
        rng = np.random.default_rng([self.seed, step])
        return np.stack([self._crop(rng) for _ in range(size)])

    def _crop(self, rng: np.random.Generator) -> Float32:
        kind = rng.random()
        if kind < OTHER_SHARE:
            sound = self._cut(self.other, rng)
        elif kind < OTHER_SHARE + MIX_SHARE:
            sound = self._cut(self.speech, rng) + self._cut(self.other, rng) * 10 ** (rng.uniform(-25, -5) / 20)
        else:
            sound = self._cut(self.speech, rng)
        if rng.random() < RUMBLE_SHARE:
            sound = sound + self._rumble(rng) * sound.std() * 10 ** (rng.uniform(-20, 0) / 20)
        gain = rng.choice([-1, 1]) * 10 ** (rng.uniform(-6, 6) / 20)
        return np.asarray(np.clip(sound * gain, -1, 1), np.float32)

    def _cut(self, parts: list[NDArray[np.int16]], rng: np.random.Generator) -> Float32:
        part = parts[rng.integers(len(parts))]
        start = rng.integers(len(part) - self.n_samples)
        return np.asarray(part[start : start + self.n_samples] / np.float32(FULL_SCALE), np.float32)

    def _rumble(self, rng: np.random.Generator) -> Float32:
        """Six slow sines, together of deviation 1."""
        hz, phase = rng.uniform(*RUMBLE_HZ, (6, 1)), rng.uniform(0, 2 * np.pi, (6, 1))
        t = np.arange(self.n_samples) / RATE_HZ
        return np.asarray(np.sin(2 * np.pi * hz * t + phase).sum(0) / 3**0.5, np.float32)
