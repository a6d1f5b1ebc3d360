"""The `audio_encodec` modality: sound through a frozen EnCodec, as codes or latents, 75 frames a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from giblet.errors import WeightsError
from giblet.hookspecs import hookimpl
from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, Temporal, TRGrid
from pydantic import Field

from giblet_audio_encodec.targets import TARGETS, Encoding, Net, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


class AudioEncodec(Modality):
    """Sound through EnCodec (Défossez et al. 2022, arXiv:2210.13438), frame k at k / 75 s; `target` says as what.

    Codes are classes: the loss is the cross-entropy of each codebook, and nothing averages or resamples them.
    """

    name: ClassVar[str] = "audio_encodec"
    kind: ClassVar[str] = "audio"
    unit: ClassVar[str] = "code"
    net_settings: ClassVar[frozenset[str]] = frozenset({"net", "temporal"})

    weights: str = "facebook/encodec_24khz"
    """A name on the model hub, a folder with `config.json` and `model.safetensors`, or `bundled`: the small codec that
    comes with the plugin."""
    bandwidth_kbps: float = Field(6.0, gt=0)
    """6 kbps are 8 codebooks of 1,024 with the default weights."""
    target: Literal["codes", "latents", "regression", "finetune"] = "codes"
    """What is predicted: codes as classes, the codec's continuous latents (quantised again when they are played), code
    numbers (a baseline), or sound by a copy of the codec that trains on."""
    net: Net = "light"
    """Size of the encoder: 32 numbers a code and 96 channels, or 64 a code and 128 channels a kernel (full)."""
    temporal: Temporal = "own"
    """What pools the 113 frames of a TR: convolutions and means over 16 places (own), or a module of the core."""

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Keep the fingerprint of the weights: with others, features are made again and a trained model is refused."""
        return self.fitted(weights=np.frombuffer(self._target().codec.digest, np.uint8))

    def _target(self) -> Target:
        """The codec and how it is used.

        Raises
        ------
        WeightsError
            If the codec's weights cannot be had, or are not those that this modality was fitted with.
        ConfigError
            If the codec has no such bandwidth.
        """
        from giblet_audio_encodec.codec import load_codec

        codec = load_codec(self.weights)
        if "weights" in self.state and self.state["weights"].tobytes() != codec.digest:
            raise WeightsError(
                f"audio.weights={self.weights} is not the codec that this was trained with; put its files back, or "
                "train again"
            )
        return TARGETS[self.target](codec, self.bandwidth_kbps)

    def extract(self, source: Source) -> Iterator[Features]:
        """Frames of one sound stream, mixed to the channels of the codec.

        Raises
        ------
        DataError
            If the file has no sound.
        WeightsError
            If the codec's weights cannot be had.
        ConfigError
            If the codec has no such bandwidth.
        """
        from giblet_audio_encodec.chunks import chunk_features
        from giblet_audio_encodec.pieces import piece_features

        way = self._target()
        yield from (chunk_features if way.codec.chunk else piece_features)(way, source)

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """Each frame in the TR that it begins in; loudness, where it stands beside the frames, becomes part of them."""
        if "level_db" in features.attrs:
            level_db = np.asarray(features.attrs["level_db"], np.float32)
            features = features.with_values(self._target().with_level(features.values, level_db))
        return super().align(features, grid)

    def spec(self, aligned: Aligned) -> FeatureSpec:
        """One TR: codes [F, C], each one of `num_classes`, or what else the target is."""
        return self._target().spec(super().spec(aligned))

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, F, *S] -> [n, width]."""
        return self._target().encoder(spec, width, Encoding(self.net, self.temporal))

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> logits [n, F, C, K], coarse codebook first, or [n, F, *S] of other targets."""
        return self._target().decoder(spec, width)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The target's own, [n, F]: of codes, cross-entropy in nats, averaged over codebooks."""
        return TARGETS[self.target].loss(prediction, target)

    def summary(self, aligned: Aligned) -> Array:
        """Mean and SD over the frames of a TR of the codec's latents, and its rhythm, [T, 2 D + 22] float32."""
        from giblet_audio_encodec.rhythm import tr_rhythms

        way = self._target()

        def moments(rows: slice) -> Array:
            values, mask = aligned.rows(rows)
            there = mask[:, :, None].astype(np.float32)
            found = way.latents(values[mask])
            z = np.zeros((*mask.shape, found.shape[1]), np.float32)
            z[mask] = found
            count = np.maximum(there.sum(1), 1)
            mean = z.sum(1) / count
            spread = np.sqrt((((z - mean[:, None]) * there) ** 2).sum(1) / count)
            return np.concatenate([mean, spread], 1)

        found = np.concatenate([moments(slice(at, at + 64)) for at in range(0, aligned.grid.n_trs, 64)])
        return np.concatenate([found, tr_rhythms(aligned, float(way.codec.rate_hz / way.codec.frame_samples))], 1)

    def summary_groups(self, columns: int) -> Sequence[int]:
        """Means of the latents, their SDs, and the rhythm."""
        from giblet_audio_encodec.rhythm import COLUMNS, WAVES

        latents = (columns - WAVES - COLUMNS) // 2
        return [latents, latents, WAVES + COLUMNS]

    @property
    def how(self) -> str:
        """What makes sound of the features."""
        return TARGETS[self.target].how

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write `out`.wav by the codec's decoder, as long as the sound was where `n_samples` says so.

        Frames are put where their times say; where there are none, silence. Memory does not grow with the length. What
        was read from scans gets the rhythm that was read beside it (`attrs["summary"]`).

        Raises
        ------
        DataError
            If the features are not what the target plays.
        """
        from giblet.media import write_sound

        from giblet_audio_encodec.playing import play_features

        way = self._target()
        return write_sound(out.with_name(f"{out.name}.wav"), play_features(way, features), way.codec.rate_hz)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """The modality of this plugin."""
    return [AudioEncodec]
