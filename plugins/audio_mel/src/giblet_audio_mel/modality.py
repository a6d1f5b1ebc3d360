"""The `audio_mel` modality: sound as mel bands in dB at full time resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from giblet.errors import ConfigError
from giblet.hookspecs import hookimpl
from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, Temporal
from pydantic import Field, model_validator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from giblet_audio_mel.features import Mel

SILENCE_DB = -100.0
"""What librosa gives for digital silence."""
COEFFICIENTS, BANDS = 40, 20


class AudioMel(Modality):
    """Mel power in dB by librosa's definition, [N, n_mels] float32, frame k centred at k * hop / rate_hz.

    The nets and the loss see `(x - centre_db) / scale_db`; features and predictions stay in dB.

    `features="mfcc"` takes 40 cepstral coefficients a channel in place of it, `features="bands"` the mean power in 20
    mel bands a channel, [N, 2, 40 or 20]: sound predicts scans, but nothing can be played back.
    """

    name: ClassVar[str] = "audio_mel"
    kind: ClassVar[str] = "audio"
    unit: ClassVar[str] = "dB"
    round_trip: ClassVar[float | None] = 0.15
    net_settings: ClassVar[frozenset[str]] = frozenset({"centre_db", "scale_db", "temporal", "n_iter", "vocoder"})

    features: Literal["mel", "mfcc", "bands"] = "mel"
    """What is read of the sound: mel bands, 40 MFCC, or power in 20 bands (the last two a channel, encoding only)."""
    n_mels: Literal[80, 128] = 80
    channels: Literal[1, 2] = 1
    """Of MFCC and 20 bands: 2 (their default) keeps left and right apart, a mono sound is in both; mel is mono."""
    rate_hz: int = Field(22_050, ge=8_000)
    n_fft: int = Field(1024, ge=64)
    hop: int = Field(256, ge=16)
    fmin_hz: float = Field(0.0, ge=0)
    fmax_hz: float = Field(8_000.0, gt=0)
    n_iter: int = Field(32, ge=1)
    """Iterations of Griffin-Lim."""
    vocoder: str | None = None
    """A HiFi-GAN of transformers, folder or hub name, that makes the sound; without one Griffin-Lim does."""
    centre_db: float = -40.0
    scale_db: float = Field(40.0, gt=0)
    """Speech and music lie between -80 and 0 dB, so the nets see -1 to 1."""
    temporal: Temporal = "own"
    """What pools the frames of a TR: patterns of time and pitch, and places in time (own), or a module of the core."""

    @model_validator(mode="before")
    @classmethod
    def _stereo_where_only_encoded(cls, values: dict[str, Any]) -> dict[str, Any]:
        return ({"channels": 2} if values.get("features") in ("mfcc", "bands") else {}) | values

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        changed = {k for k in type(self).model_fields if getattr(self, k) != type(self).model_fields[k].default}
        idle = {
            "mel": {"channels"} | ({"n_iter"} if self.vocoder else set()),
            "mfcc": {"n_iter", "vocoder"},
            "bands": {"n_iter", "vocoder", "n_mels"},
        }[self.features]
        if idle & changed:
            names = ", ".join(sorted(idle & changed))
            raise ValueError(f"{names}: no effect on features={self.features}; leave out, or choose other features")
        return self

    @property
    def mel(self) -> Mel:
        """The numbers that define the spectrogram."""
        from giblet_audio_mel.features import Mel

        n_mels = BANDS if self.features == "bands" else self.n_mels
        return Mel(self.rate_hz, self.n_fft, self.hop, n_mels, self.fmin_hz, self.fmax_hz)

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Nothing is learned; a vocoder that cannot be had is known before hours of training, not after.

        Raises
        ------
        WeightsError
            If the vocoder cannot be had.
        """
        if self.vocoder:
            from giblet_audio_mel.vocoder import find_vocoder

            find_vocoder(self.vocoder)
        return self

    def extract(self, source: Source) -> Iterator[Features]:
        """Mel frames of one sound stream, mixed to mono; a cut is a sound of its own, with silence around it.

        Raises
        ------
        DataError
            If the file has no sound.
        """
        from giblet.media import read_sound

        from giblet_audio_mel.features import mel_stream, mfcc

        first: list[int] = []

        def pieces() -> Iterator[Array]:
            for chunk in read_sound(
                source.path, self.rate_hz, source.stream, self.channels, source.start_s, source.stop_s
            ):
                first.append(int(chunk.ticks[0]))
                yield chunk.values if self.features != "mel" else chunk.values[:, 0]

        done = 0
        for db, n_samples in mel_stream(pieces(), self.mel):
            ticks = first[0] + self.hop * np.arange(done, done + len(db), dtype=np.int64)
            done += len(db)
            attrs = {"n_samples": n_samples, "rate_hz": self.rate_hz}
            values = mfcc(db, COEFFICIENTS) if self.features == "mfcc" else db
            yield Features(values, ticks, Fraction(1, self.rate_hz), attrs=attrs)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, F, *S] -> [n, width], by convolutions that keep time inside the TR."""
        from giblet_audio_mel.nets import MelEncoder, PooledMelEncoder, ScaledEncoder

        if self.features != "mel":
            from giblet.nn import FrameEncoder

            return ScaledEncoder(FrameEncoder(spec, width, temporal=self.temporal), self._centre(spec), self.scale_db)
        if self.temporal != "own":
            return PooledMelEncoder(spec, width, self.centre_db, self.scale_db, self.temporal)
        return MelEncoder(spec, width, self.centre_db, self.scale_db)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> [n, F, *S], in dB where these are bands."""
        from giblet_audio_mel.nets import MelDecoder, ScaledDecoder

        if self.features != "mel":
            from giblet.nn import FrameDecoder

            return ScaledDecoder(FrameDecoder(spec, width), self._centre(spec), self.scale_db)
        return MelDecoder(spec, width, self.centre_db, self.scale_db)

    def _centre(self, spec: FeatureSpec) -> Tensor:
        """What the nets take for zero, [*S]: only the first cepstral coefficient has a mean, sqrt(n_mels) of the dB."""
        import torch

        centre = torch.full(spec.shape, self.centre_db)
        if self.features == "mfcc":
            centre *= torch.eye(1, spec.shape[-1])[0] * self.n_mels**0.5
        return centre

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error in units of `scale_db`, [n, F]."""
        return ((prediction - target.to(prediction.dtype)) / self.scale_db).square().flatten(2).mean(-1)

    def summary(self, aligned: Aligned) -> Array:
        """Band power, its SD and its rhythm: mean and SD of 16 bands, modulation at 1 to 16 Hz, [T, 57] float32.

        Of MFCC and 20 bands mean and SD.
        """
        if self.features != "mel":
            return super().summary(aligned)
        from giblet_audio_mel.features import band_summary

        slices = (slice(start, start + 64) for start in range(0, aligned.grid.n_trs, 64))
        return np.concatenate([band_summary(*aligned.rows(s), self.hop / self.rate_hz) for s in slices])

    def summary_groups(self, columns: int) -> Sequence[int]:
        """Means of bands, their SDs, and rhythm; of other features one group."""
        from giblet_audio_mel.features import SUMMARY_BANDS

        if self.features != "mel":
            return super().summary_groups(columns)
        return [SUMMARY_BANDS, SUMMARY_BANDS, columns - 2 * SUMMARY_BANDS]

    @property
    def how(self) -> str:
        """What makes sound of the features, or that nothing does."""
        if self.features != "mel":
            name = {"mfcc": "MFCC", "bands": "power in 20 bands"}[self.features]
            return f"{name}: encoding only, nothing can be played back"
        if not self.vocoder:
            return "Griffin-Lim (torch)"
        return f"the vocoder {self.vocoder}, its mel bands fitted to these"

    def can_reconstruct(self) -> bool:
        """Mel bands can be played; MFCC and 20 bands only encode."""
        return self.features == "mel"

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write `out`.wav by the vocoder, or Griffin-Lim in torch (`how`), as long as the sound was by `n_samples`.

        Frames are put where their times say; where there are none, silence. A vocoder's sound has its own rate.

        Raises
        ------
        ConfigError
            If the features are MFCC or 20 bands.
        WeightsError
            If the vocoder cannot be had.
        """
        if self.features != "mel":
            raise ConfigError(f"{self.name}: {self.how}; {out.name} needs features=mel")
        from giblet.media import write_sound

        place = (features.ticks - features.ticks[0]) // self.hop
        db = np.full((int(place[-1]) + 1, self.n_mels), SILENCE_DB, np.float32)
        db[place] = features.values
        whole = int(features.attrs.get("n_samples", 0))
        n_samples = whole if 1 + whole // self.hop == len(db) else len(db) * self.hop
        sound, rate_hz = self._sound(db, n_samples)
        return write_sound(out.with_name(f"{out.name}.wav"), sound, rate_hz)

    def _sound(self, db: Array, n_samples: int) -> tuple[Array, int]:
        """Sound of dB [N, n_mels], as long as `n_samples` at `rate_hz`, and its own rate."""
        if not self.vocoder:
            from giblet_audio_mel.inversion import griffin_lim

            return griffin_lim(db, self.mel, n_samples, self.n_iter), self.rate_hz
        from giblet_audio_mel.vocoder import load_vocoder, voiced

        vocoder = load_vocoder(self.vocoder)
        return voiced(db, self.mel, vocoder, n_samples / self.rate_hz), vocoder.mel.rate_hz


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """The modality of this plugin."""
    return [AudioMel]
