"""The `audio_encodec` modality: sound as the codes of a frozen EnCodec, 75 frames a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from giblet.errors import DataError
from giblet.hookspecs import hookimpl
from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, Temporal
from pydantic import Field

if TYPE_CHECKING:
    from torch import Tensor, nn


class AudioEncodec(Modality):
    """EnCodec codes (Défossez et al. 2022, arXiv:2210.13438), [N, C] int16, frame k at k / 75 s.

    Codes are classes: the loss is the cross-entropy of each codebook, and nothing averages or resamples them.
    """

    name: ClassVar[str] = "audio_encodec"
    kind: ClassVar[str] = "audio"
    unit: ClassVar[str] = "code"
    net_settings: ClassVar[frozenset[str]] = frozenset({"temporal"})

    weights: str = "facebook/encodec_24khz"
    """A name on the model hub, or a folder with `config.json` and `model.safetensors`."""
    bandwidth_kbps: float = Field(6.0, gt=0)
    """6 kbps are 8 codebooks of 1,024 with the default weights."""
    temporal: Temporal = "own"
    """What pools the 113 frames of a TR: convolutions and means over 16 places (own), or a module of the core."""

    def extract(self, source: Source) -> Iterator[Features]:
        """Codes of one sound stream, mixed to mono; a cut is encoded as a sound of its own.

        Raises
        ------
        DataError
            If the file has no sound.
        WeightsError
            If the codec's weights cannot be had.
        ConfigError
            If the codec has no such bandwidth.
        """
        from giblet.media import read_sound

        from giblet_audio_encodec.codec import load_codec
        from giblet_audio_encodec.features import encode_stream

        codec, first = load_codec(self.weights), list[int]()
        codec.codebooks(self.bandwidth_kbps)

        def chunks() -> Iterator[Array]:
            for chunk in read_sound(
                source.path, codec.rate_hz, source.stream, start_s=source.start_s, stop_s=source.stop_s
            ):
                first.append(int(chunk.ticks[0]))
                yield chunk.values[:, 0]

        encode, done = partial(codec.encode, bandwidth_kbps=self.bandwidth_kbps), 0
        for codes, n_samples in encode_stream(chunks(), encode, codec.hop):
            ticks = first[0] + codec.hop * np.arange(done, done + len(codes), dtype=np.int64)
            done += len(codes)
            attrs = {"n_samples": n_samples, "rate_hz": codec.rate_hz, "num_classes": codec.num_classes}
            yield Features(codes, ticks, Fraction(1, codec.rate_hz), attrs=attrs)

    def spec(self, aligned: Aligned) -> FeatureSpec:
        """One TR of codes: [F, C], each one of `num_classes`."""
        return replace(super().spec(aligned), num_classes=int(aligned.features.attrs["num_classes"]))

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, F, C] -> [n, width]; the embeddings begin as the codec's own vectors."""
        from giblet_audio_encodec.codec import load_codec
        from giblet_audio_encodec.nets import CodeEncoder

        return CodeEncoder(spec, width, load_codec(self.weights).vectors(spec.size), self.temporal)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> logits [n, F, C, K], coarse codebook first."""
        from giblet_audio_encodec.codec import load_codec
        from giblet_audio_encodec.nets import CodeDecoder

        return CodeDecoder(spec, width, load_codec(self.weights).vectors(spec.size))

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats, averaged over codebooks: logits [n, F, C, K] and codes [n, F, C] to [n, F]."""
        from torch.nn.functional import cross_entropy

        entropy = cross_entropy(prediction.flatten(0, -2), target.flatten().long(), reduction="none")
        return entropy.unflatten(0, target.shape).mean(-1)

    def summary(self, aligned: Aligned) -> Array:
        """Mean and SD over the frames of a TR of the codec's continuous latents, [T, 2 * 128] float32."""
        from giblet_audio_encodec.codec import load_codec

        codec = load_codec(self.weights)

        def latents(rows: slice) -> Array:
            codes, mask = aligned.rows(rows)
            z = codec.latents(codes.reshape(-1, codes.shape[-1])).reshape(*mask.shape, -1)
            there = mask[:, :, None].astype(np.float32)
            count = np.maximum(there.sum(1), 1)
            mean = (z * there).sum(1) / count
            spread = np.sqrt((((z - mean[:, None]) * there) ** 2).sum(1) / count)
            return np.concatenate([mean, spread], 1)

        return np.concatenate([latents(slice(at, at + 64)) for at in range(0, aligned.grid.n_trs, 64)])

    @property
    def how(self) -> str:
        """What makes sound of the features."""
        return "EnCodec decoder"

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write `out`.wav by the codec's decoder, as long as the sound was where `n_samples` says so.

        Frames are put where their times say; where there are none, silence.

        Raises
        ------
        DataError
            If the features are not codes.
        """
        from giblet.media import write_sound

        from giblet_audio_encodec.codec import load_codec
        from giblet_audio_encodec.features import decode_pieces

        if features.values.dtype.kind not in "iu":
            raise DataError(
                f"audio_encodec plays integer codes, not {features.values.dtype}; take the likeliest class first"
            )
        codec = load_codec(self.weights)
        frame = (features.ticks - features.ticks[0]) // codec.hop
        sound = np.zeros((int(frame[-1]) + 1) * codec.hop, np.float32)
        for run in np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame) != 1) + 1):
            at = int(frame[run[0]]) * codec.hop
            for piece in decode_pieces(features.values[run], codec.decode, codec.hop):
                sound[at : at + len(piece)] = piece
                at += len(piece)
        whole = int(features.attrs.get("n_samples", 0))
        n_samples = whole if -(-whole // codec.hop) == int(frame[-1]) + 1 else len(sound)
        return write_sound(out.with_name(f"{out.name}.wav"), sound[:n_samples], codec.rate_hz)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """The modality of this plugin."""
    return [AudioEncodec]
