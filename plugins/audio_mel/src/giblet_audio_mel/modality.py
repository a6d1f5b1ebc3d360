"""The `audio_mel` modality: sound as mel bands in dB at full time resolution."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from giblet.hookspecs import hookimpl
from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, Temporal
from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor, nn

    from giblet_audio_mel.features import Mel

SILENCE_DB = -100.0
"""What librosa gives for digital silence."""


class AudioMel(Modality):
    """Mel power in dB by librosa's definition, [N, n_mels] float32, frame k centred at k * hop / rate_hz.

    The nets and the loss see `(x - centre_db) / scale_db`; features and predictions stay in dB.
    """

    name: ClassVar[str] = "audio_mel"
    kind: ClassVar[str] = "audio"
    unit: ClassVar[str] = "dB"
    round_trip: ClassVar[float | None] = 0.15
    net_settings: ClassVar[frozenset[str]] = frozenset({"centre_db", "scale_db", "temporal"})

    n_mels: Literal[80, 128] = 80
    rate_hz: int = Field(22_050, ge=8_000)
    n_fft: int = Field(1024, ge=64)
    hop: int = Field(256, ge=16)
    fmin_hz: float = Field(0.0, ge=0)
    fmax_hz: float = Field(8_000.0, gt=0)
    n_iter: int = Field(32, ge=1)
    """Iterations of Griffin-Lim."""
    centre_db: float = -40.0
    scale_db: float = Field(40.0, gt=0)
    """Speech and music lie between -80 and 0 dB, so the nets see -1 to 1."""
    temporal: Temporal = "own"
    """What pools the frames of a TR: patterns of time and pitch, and places in time (own), or a module of the core."""

    @property
    def mel(self) -> Mel:
        """The numbers that define the spectrogram."""
        from giblet_audio_mel.features import Mel

        return Mel(self.rate_hz, self.n_fft, self.hop, self.n_mels, self.fmin_hz, self.fmax_hz)

    def extract(self, source: Source) -> Iterator[Features]:
        """Mel frames of one sound stream, mixed to mono; a cut is a sound of its own, with silence around it.

        Raises
        ------
        DataError
            If the file has no sound.
        """
        from giblet.media import read_sound

        from giblet_audio_mel.features import mel_stream

        first: list[int] = []

        def pieces() -> Iterator[Array]:
            for chunk in read_sound(
                source.path, self.rate_hz, source.stream, start_s=source.start_s, stop_s=source.stop_s
            ):
                first.append(int(chunk.ticks[0]))
                yield chunk.values[:, 0]

        done = 0
        for values, n_samples in mel_stream(pieces(), self.mel):
            ticks = first[0] + self.hop * np.arange(done, done + len(values), dtype=np.int64)
            done += len(values)
            attrs = {"n_samples": n_samples, "rate_hz": self.rate_hz}
            yield Features(values, ticks, Fraction(1, self.rate_hz), attrs=attrs)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, F, M] dB -> [n, width], by convolutions that keep time inside the TR."""
        from giblet_audio_mel.nets import MelEncoder, PooledMelEncoder

        if self.temporal != "own":
            return PooledMelEncoder(spec, width, self.centre_db, self.scale_db, self.temporal)
        return MelEncoder(spec, width, self.centre_db, self.scale_db)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> [n, F, M] dB."""
        from giblet_audio_mel.nets import MelDecoder

        return MelDecoder(spec, width, self.centre_db, self.scale_db)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error in units of `scale_db`, [n, F]."""
        return ((prediction - target.to(prediction.dtype)) / self.scale_db).square().flatten(2).mean(-1)

    def summary(self, aligned: Aligned) -> Array:
        """Band power, its SD and its rhythm: mean and SD of 16 bands, modulation at 1 to 16 Hz, [T, 57] float32."""
        from giblet_audio_mel.features import band_summary

        slices = (slice(start, start + 64) for start in range(0, aligned.grid.n_trs, 64))
        return np.concatenate([band_summary(*aligned.rows(s), self.hop / self.rate_hz) for s in slices])

    @property
    def how(self) -> str:
        """What makes sound of the features."""
        return "Griffin-Lim (torch)"

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write `out`.wav by Griffin-Lim in torch (`how`), as long as the sound was where `n_samples` says so.

        Frames are put where their times say; where there are none, silence.
        """
        from giblet.media import write_sound

        from giblet_audio_mel.inversion import griffin_lim

        place = (features.ticks - features.ticks[0]) // self.hop
        db = np.full((int(place[-1]) + 1, self.n_mels), SILENCE_DB, np.float32)
        db[place] = features.values
        whole = int(features.attrs.get("n_samples", 0))
        n_samples = whole if 1 + whole // self.hop == len(db) else len(db) * self.hop
        return write_sound(
            out.with_name(f"{out.name}.wav"), griffin_lim(db, self.mel, n_samples, self.n_iter), self.rate_hz
        )


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """The modality of this plugin."""
    return [AudioMel]
