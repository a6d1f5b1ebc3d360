"""The rhythm of a sound: measured of each TR, and given back to a sound that was read from scans.

Scans keep how fast loudness goes up and down, and not when (Santoro et al. 2017, doi:10.1073/pnas.1617622114). Codes
that are read from them are those of a mean, which is steady. So the rate and depth that were read beside them are put
on what is played; the moments of the beats are made up. That a sound can be made again from such statistics is what
McDermott & Simoncelli 2011 show (doi:10.1016/j.neuron.2011.06.032).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from giblet.errors import DataError
from giblet.media import FASTEST_HZ, SLOWEST_HZ, rhythm
from giblet.types import Aligned, Array
from numpy.typing import NDArray

from giblet_audio_encodec.loudness import frame_power_db

Float32 = NDArray[np.float32]

COLUMNS = 2
"""Rate (octaves above 1 Hz) and depth (SD in dB), the last columns of a summary."""
WAVES = 20
"""Frequencies at which the ups and downs of loudness are measured. They vary together, and so have a weight among the
leading components that one rate alone would not have."""


def frame_levels(sound: Float32, hop: int) -> list[float]:
    """Root mean square of each frame of sound [n, channels] in dB, to a tenth; the last frame may be cut short."""
    return [round(float(x), 1) for x in frame_power_db(sound, hop)]


class LevelMeter:
    """The loudness of frames of sound that passes in chunks of any length, in dB."""

    def __init__(self, hop: int) -> None:
        self.hop = hop
        self.rest = np.zeros((0, 1), np.float32)
        self.levels: list[float] = []

    def hear(self, chunk: Float32) -> Float32:
        """A chunk [n, channels], unchanged."""
        held = np.concatenate([self.rest, chunk]) if len(self.rest) else chunk
        whole = len(held) // self.hop * self.hop
        self.levels += frame_levels(held[:whole], self.hop)
        self.rest = held[whole:]
        return chunk

    def take(self, n: int) -> list[float]:
        """The next n frames; the last of all may be short."""
        if n > len(self.levels):
            self.levels += frame_levels(self.rest, self.hop)
        taken, self.levels = self.levels[:n], self.levels[n:]
        return taken


def tr_rhythms(aligned: Aligned, frame_hz: float) -> Float32:
    """The ups and downs of loudness in each TR at 20 frequencies, their rate and depth: [T, 22]; 0 without sound.

    Raises
    ------
    DataError
        If the features do not say how loud they are.
    """
    if "level_db" not in aligned.features.attrs:
        raise DataError("these features of audio_encodec do not say how loud they are; extract them again")
    level = np.asarray(aligned.features.attrs["level_db"], np.float64)
    values, mask = replace(aligned, features=aligned.features.with_values(level)).rows(slice(None))
    if not mask.any():
        return np.zeros((len(mask), WAVES + COLUMNS), np.float32)
    mean = values.sum(1) / np.maximum(mask.sum(1), 1)
    filled = np.where(mask, values, mean[:, None])
    found = np.column_stack([spectrum(filled - mean[:, None], frame_hz), *rhythm(filled, frame_hz)])
    return np.asarray(found * aligned.valid[:, None], np.float32)


def spectrum(ups: NDArray[np.float64], frame_hz: float) -> NDArray[np.float64]:
    """Log amplitude of the ups and downs [T, F] in dB under a Hann window, evenly over octaves, [T, 20]."""
    window = np.hanning(ups.shape[1] + 2)[1:-1]
    hz = np.geomspace(SLOWEST_HZ, FASTEST_HZ, WAVES)
    turns = np.outer(np.arange(ups.shape[1]), hz) / frame_hz
    return np.asarray(np.log1p(np.abs((ups * window) @ np.exp(-2j * np.pi * turns)) / window.sum()))


def beating(sound: Iterable[Float32], summary: Array, n_samples: int, rate_hz: int) -> Iterator[Float32]:
    """Pieces of sound [n, channels] whose loudness goes up and down as a summary [T, S] of all `n_samples` says."""
    rate, depth_db = np.asarray(summary[:, -COLUMNS:], np.float64).T
    at, phase = 0, 0.0
    for piece in sound:
        tr = (np.arange(at, at + len(piece)) + 0.5) * len(summary) / n_samples - 0.5
        hz, depth = 2 ** np.interp(tr, np.arange(len(rate)), rate), np.interp(tr, np.arange(len(rate)), depth_db)
        turns = phase + np.cumsum(hz) / rate_hz
        gain_db = np.maximum(depth, 0) * 2**0.5 * np.sin(2 * np.pi * turns)
        at, phase = at + len(piece), float(turns[-1]) % 1 if len(turns) else phase
        yield piece * (10 ** (gain_db / 20)).astype(np.float32)[:, None]
