"""The loudness that a normalising codec divides each chunk by, as one more codebook and one more latent dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from giblet.types import Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Float32 = NDArray[np.float32]

RANGE_DB = 102.4
"""From full scale down: 0.1 dB a step of 1,024, finer than anybody hears, and the range of 16 bits."""
UNIT_DB = 20.0
"""What the latent dimension counts in: tenfold amplitudes."""
FLOOR_DB = -60.0
"""Below full scale: what is quieter is silence, and its noise has no rhythm."""
MOST_GAIN_DB = 20.0
"""What a codec made of nothing is not to be blown up."""
EPSILON = 1e-8
"""Added by EnCodec to the root mean square of a chunk, so that silence can be divided by it."""


class LoudnessBook:
    """The root mean square of a chunk in dB, in K equal steps; every frame of the chunk carries it."""

    def __init__(self, classes: int) -> None:
        self.classes, self.step_db = classes, RANGE_DB / classes

    @staticmethod
    def divide(sound: Tensor) -> tuple[Tensor, float]:
        """Sound [1, channels, n] at a root mean square of 1, and its loudness in units of 20 dB."""
        scale = sound.mean(1, keepdim=True).square().mean(-1, keepdim=True).sqrt() + EPSILON
        return sound / scale, float(scale.log10())

    @staticmethod
    def append(latents: Float32, level: float | Float32) -> Float32:
        """Latents [n, D] with the loudness behind them, [n, D + 1]."""
        column = np.broadcast_to(np.asarray(level, np.float32).reshape(-1, 1), (len(latents), 1))
        return np.concatenate([latents, column], 1)

    @staticmethod
    def gain(level: Float32) -> float:
        """What a chunk is multiplied by whose frames have loudness [n]: that of their mean in dB."""
        return float(10 ** level.mean(dtype=np.float64))

    def codes(self, level: Float32) -> NDArray[np.int16]:
        """The nearest step of loudness [n]."""
        steps = np.rint((level * UNIT_DB + RANGE_DB) / self.step_db)
        return steps.clip(0, self.classes - 1).astype(np.int16)

    def levels(self, codes: NDArray[np.int16]) -> Float32:
        """The loudness [n] of steps [n]."""
        return ((codes * self.step_db - RANGE_DB) / UNIT_DB).astype(np.float32)

    def with_vectors(self, vectors: Tensor) -> Tensor:
        """The codebooks' vectors [C, K, D] with those of loudness before them: [C + 1, K, D + 1]."""
        import torch

        wide = torch.nn.functional.pad(vectors, (0, 1))
        ramp = torch.zeros_like(wide[:1])
        ramp[0, :, -1] = torch.from_numpy(self.levels(np.arange(self.classes, dtype=np.int16)))
        return torch.cat([ramp, wide])


def frame_power_db(sound: Float32, hop: int) -> NDArray[np.float64]:
    """Mean square of each frame of sound [n, channels] in dB, no less than `FLOOR_DB`; the last frame may be short."""
    if not len(sound):
        return np.zeros(0)
    power = np.square(sound.reshape(len(sound), -1)).mean(1, dtype=np.float64)
    starts = np.arange(0, len(power), hop)
    mean = np.add.reduceat(power, starts) / np.minimum(hop, len(power) - starts)
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (FLOOR_DB / 10))))


def at_level(sound: Float32, level_db: Float, hop: int) -> Float32:
    """Sound [n * hop, channels] with each frame as loud as it is said to be, [n]; at most 20 dB louder than it was.

    The gain goes from that of the frame before to its own within a fifth of the frame.
    """
    gain_db = np.minimum(level_db - frame_power_db(sound, hop), MOST_GAIN_DB)
    before = np.concatenate([gain_db[:1], gain_db[:-1]])
    way = np.minimum((np.arange(hop) + 1) / (hop / 5), 1)
    gain = 10 ** ((before[:, None] + (gain_db - before)[:, None] * way) / 20)
    return sound * gain.reshape(-1, 1).astype(np.float32)
