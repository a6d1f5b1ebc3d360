"""The `audio_stft` modality: sound as complex spectra, and back without guessing a phase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from giblet import Aligned, DataError, Features, FeatureSpec, Modality, Source, hookimpl
from giblet.types import Array
from pydantic import Field, model_validator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from giblet_audio_stft.transform import Stft

BANDS = 16
QUIET = 1e-10
"""Power that counts as nothing, -100 dB."""


class AudioStft(Modality):
    """Real and imaginary part of each bin, [N, bins, 2] float32 re full scale; the middle of window k is at k hops.

    The loss is a compressed magnitude error and a compressed complex error, in the form of Braun & Tashev 2021
    (arXiv:2009.12286): squared error of |S|^c, and of spectra with that magnitude and their phase, weighted
    1 - `complex_share` and `complex_share`; compression and share are our own choice. Where a phase cannot be known,
    the loss is least at 1 - `complex_share` of the true |S|^c, so sound is too quiet: by 3.05 dB at the defaults.
    """

    name: ClassVar[str] = "audio_stft"
    kind: ClassVar[str] = "audio"
    unit: ClassVar[str] = "full scale"
    round_trip: ClassVar[float | None] = 1e-6
    net_settings: ClassVar[frozenset[str]] = frozenset({"compression", "complex_share"})

    rate_hz: int = Field(default=16_000, ge=8_000)
    n_fft: int = Field(default=512, ge=64, multiple_of=2)
    hop: int = Field(default=128, ge=16)
    compression: float = Field(default=0.3, gt=0, le=1)
    """c of the loss, our choice: soft sounds count nearly as much as loud ones."""
    complex_share: float = Field(default=0.1, ge=0, le=1)
    """What of the loss is complex, our choice; the more, the quieter is what comes back, and the harder is training."""

    @model_validator(mode="after")
    def _hops_fill_the_window(self) -> Self:
        if self.n_fft % self.hop or self.n_fft < 4 * self.hop:
            raise ValueError(f"n_fft must be 4 or more times hop, {self.hop}, without remainder")
        return self

    @property
    def stft(self) -> Stft:
        """The numbers that define the transform."""
        from giblet_audio_stft.transform import Stft

        return Stft(self.n_fft, self.hop)

    def extract(self, source: Source) -> Iterator[Features]:
        """Spectra of one stream, mixed to mono, whole or cut: the TR grid takes what lies in it.

        Raises
        ------
        DataError
            If the file has no sound.
        """
        from giblet.media import read_sound

        from giblet_audio_stft.transform import stream

        first: list[int] = []

        def pieces() -> Iterator[Array]:
            for chunk in read_sound(source.path, self.rate_hz, source.stream):
                first.append(int(chunk.ticks[0]))
                yield chunk.values[:, 0]

        done = 0
        for spectra, n_samples in stream(pieces(), self.stft):
            ticks = first[0] + self.hop * np.arange(done, done + len(spectra), dtype=np.int64)
            done += len(spectra)
            values = spectra.view(np.float32).reshape(*spectra.shape, 2)
            yield Features(values, ticks, Fraction(1, self.rate_hz), attrs={"n_samples": n_samples})

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, F, bins, 2] -> [n, width]."""
        from giblet_audio_stft.nets import StftEncoder

        return StftEncoder(spec, width, self.stft)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> [n, F, bins, 2]."""
        from giblet_audio_stft.nets import StftDecoder

        return StftDecoder(spec, width, self.stft, self.compression)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error of compressed magnitudes and of compressed complex values, [n, F]."""
        (a, x), (b, y) = (self._compressed(z.float()) for z in (prediction, target))
        magnitude, whole = (a - b).square(), (x - y).square().sum(-1)
        return ((1 - self.complex_share) * magnitude + self.complex_share * whole).mean(-1)

    def _compressed(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """|S|^c [.., bins], and S with that magnitude [.., bins, 2]."""
        power = z.square().sum(-1) + QUIET
        magnitude = power ** (self.compression / 2)
        return magnitude, z * (magnitude / power.sqrt()).unsqueeze(-1)

    def summary(self, aligned: Aligned) -> Array:
        """Mean and SD over a TR of the power in 16 bands of equal width, in dB, [T, 32] float32."""
        slices = (slice(start, start + 64) for start in range(0, aligned.grid.n_trs, 64))
        return np.concatenate([_band_summary(*aligned.rows(s)) for s in slices])

    def summary_groups(self, columns: int) -> Sequence[int]:
        """Means and SDs."""
        return [columns // 2, columns // 2]

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write `out`.wav in 32-bit floats: the sound to the sample, as long as it was where `n_samples` says so.

        Windows are put where their times say; where there are none, silence.

        Raises
        ------
        DataError
            If there is no window at all.
        """
        import soundfile
        from giblet.media import replacing

        from giblet_audio_stft.transform import inverse

        if not len(features.ticks):
            raise DataError("there is no window, and so no sound to write; give features with at least one")
        place = (features.ticks - features.ticks[0]) // self.hop
        spectra = np.zeros((int(place[-1]) + 1, features.values.shape[1]), np.complex64)
        spectra[place] = features.values[..., 0] + 1j * features.values[..., 1]
        whole = int(features.attrs.get("n_samples", 0))
        n_samples = whole if 1 + whole // self.hop == len(spectra) else len(spectra) * self.hop
        path = out.with_name(f"{out.name}.wav")
        with replacing(path) as part:
            soundfile.write(part, inverse(spectra, self.stft, n_samples), self.rate_hz, subtype="FLOAT")
        return path


def _band_summary(values: Array, mask: Array) -> Array:
    """[n, F, bins, 2], [n, F] -> [n, 2 * BANDS]."""
    power = np.square(values, dtype=np.float64).sum(-1)
    bands = [10 * np.log10(band.mean(-1) + QUIET) for band in np.array_split(power, BANDS, axis=-1)]
    there = mask[..., None]
    count = np.maximum(there.sum(1), 1)
    level = np.stack(bands, axis=-1) * there
    mean = level.sum(1) / count
    spread = np.sqrt((np.square(level - mean[:, None]) * there).sum(1) / count)
    return np.concatenate([mean, spread], axis=1).astype(np.float32)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """The modality of this plugin."""
    return [AudioStft]
