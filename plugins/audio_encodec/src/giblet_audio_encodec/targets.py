"""What of a sound is stored, predicted and played: four ways, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from giblet.errors import ConfigError, DataError
from giblet.types import Array, FeatureSpec, Float, Temporal

from giblet_audio_encodec.codec import Codec, Codes, Float32
from giblet_audio_encodec.loudness import UNIT_DB, LoudnessBook, at_level
from giblet_audio_encodec.pieces import PIECE_FRAMES, cut_blocks

if TYPE_CHECKING:
    from torch import Tensor, nn

Net = Literal["light", "full"]


class Encoding(NamedTuple):
    """How an encoder of codes or latents is built."""

    net: Net
    temporal: Temporal


class Target(ABC):
    """One way to use a codec: which features a sound has, the nets and the loss for them, and their sound.

    Attributes
    ----------
    unit, how : str
        The unit of the features, and what makes sound of them, for the report.
    """

    unit: str
    how: str

    def __init__(self, codec: Codec, bandwidth_kbps: float) -> None:
        self.codec, self.kbps = codec, bandwidth_kbps
        self.books = codec.books(bandwidth_kbps)

    @abstractmethod
    def of_latents(self, latents: Float32) -> Array:
        """Values [n, *S] of frames whose latents are [n, D]."""

    def extract(self, sound: Float32) -> Array:
        """Values [n, *S] of the frames of sound [n * hop, channels], in one call."""
        return self.of_latents(self.codec.embed(sound))

    def stream(self, sound: Iterable[Float32]) -> Iterator[tuple[Array, int]]:
        """The same of long sound in chunks of any length, with the number of samples that were read so far."""
        from giblet_audio_encodec.streaming import embed_stream

        for latents, seen in embed_stream(self.codec, sound):
            yield self.of_latents(latents), seen

    def with_level(self, values: Array, level_db: Float) -> Array:
        """Values [n, *S] with the loudness of each frame [n] among them. Default: as they are."""
        return values

    def without_level(self, values: Array) -> tuple[Array, Float | None]:
        """Values as they were before, and the loudness [n] in dB; None where there is none among them."""
        return values, None

    @abstractmethod
    def latents(self, values: Array) -> Float32:
        """The codec's latents [n, D] of values [n, *S]."""

    @abstractmethod
    def heard(self, values: Array) -> Float32:
        """The latents [n, D] that the codec's decoder makes sound of: sums of the vectors of codes."""

    def play(self, values: Array) -> Float32:
        """Sound [n * hop, channels] of values [n, *S]."""
        sound, (_, level_db) = self.codec.synthesise(self.heard(values)), self.without_level(values)
        return sound if level_db is None else at_level(sound, level_db, self.codec.hop)

    @abstractmethod
    def encoder(self, spec: FeatureSpec, width: int, encoding: Encoding) -> nn.Module:
        """[n, F, *S], [n, F] -> [n, width]."""

    @abstractmethod
    def decoder(self, spec: FeatureSpec, width: int) -> nn.Module:
        """[n, width] -> [n, F, *S], or logits."""

    @staticmethod
    @abstractmethod
    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        """Loss [n, F] of a prediction and the features [n, F, *S]."""

    def spec(self, spec: FeatureSpec) -> FeatureSpec:
        """One TR of the features, of which the core knows shape and type."""
        return replace(spec, unit=self.unit)


class BookTarget(Target):
    """Features are codes, whatever is made of them."""

    unit = "code"

    def of_latents(self, latents: Float32) -> Codes:
        """Codes [n, C]."""
        return self.codec.quantise(latents, self.kbps)

    def with_level(self, values: Array, level_db: Float) -> Array:
        """Loudness as one more code before the others; a codec that normalises has one of its own."""
        if self.codec.loudness is not None:
            return values
        book = LoudnessBook(self.codec.num_classes)
        return np.concatenate([book.codes(level_db / UNIT_DB)[:, None], values], 1)

    def without_level(self, values: Array) -> tuple[Array, Float | None]:
        """The codes, and what the one before them says."""
        if values.shape[1] == self.books:
            return values, None
        book, codes = LoudnessBook(self.codec.num_classes), np.rint(values[:, 0]).clip(0, self.codec.num_classes - 1)
        return values[:, 1:], book.levels(codes.astype(np.int16)) * UNIT_DB

    def latents(self, values: Array) -> Float32:
        """The sum of the codes' vectors."""
        return self.codec.latents(self.without_level(values)[0])

    def encoder(self, spec: FeatureSpec, width: int, encoding: Encoding) -> nn.Module:
        """The embeddings begin as the codec's own vectors."""
        from giblet_audio_encodec.levels import LevelEncoder, level_width, split_codes
        from giblet_audio_encodec.nets import CodeEncoder

        vectors = self.codec.vectors(self.books)
        if spec.size == self.books:
            return CodeEncoder(spec, width, vectors, encoding.temporal, encoding.net)
        content = CodeEncoder(spec, width - level_width(width), vectors, encoding.temporal, encoding.net)
        split = partial(split_codes, step_db=LoudnessBook(self.codec.num_classes).step_db)
        return LevelEncoder(content, split, spec, width)


class CodesTarget(BookTarget):
    """Codes are classes: cross-entropy of each book, coarse first."""

    how = "EnCodec decoder"

    def heard(self, values: Array) -> Float32:
        """The sum of the codes' vectors.

        Raises
        ------
        DataError
            If the values are not whole numbers.
        """
        if values.dtype.kind not in "iu":
            raise DataError(f"audio_encodec plays integer codes, not {values.dtype}; take the likeliest class first")
        return self.codec.latents(self.without_level(values)[0])

    def spec(self, spec: FeatureSpec) -> FeatureSpec:
        """Each of [F, C] is one of `num_classes`."""
        return replace(super().spec(spec), num_classes=self.codec.num_classes)

    def decoder(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Logits [n, F, C, K]."""
        from giblet_audio_encodec.decoders import CodeDecoder
        from giblet_audio_encodec.levels import LevelledCodes

        vectors = self.codec.vectors(self.books)
        if spec.size == self.books:
            return CodeDecoder(spec, width, vectors)
        codes = CodeDecoder(replace(spec, shape=(self.books,)), width, vectors)
        return LevelledCodes(codes, spec, width, self.codec.num_classes)

    @staticmethod
    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats, averaged over codebooks: logits [n, F, C, K] and codes [n, F, C] to [n, F]."""
        from torch.nn.functional import cross_entropy

        entropy = cross_entropy(prediction.flatten(0, -2), target.flatten().long(), reduction="none")
        return entropy.unflatten(0, target.shape).mean(-1)


class RegressionTarget(BookTarget):
    """Codes taken for numbers from 0 to K - 1, as one must not: a baseline."""

    how = "EnCodec decoder, of code numbers that were regressed (a baseline)"

    def heard(self, values: Array) -> Float32:
        """The vectors of the nearest numbers that are codes."""
        nearest = np.rint(self.without_level(values)[0]).clip(0, self.codec.num_classes - 1)
        return self.codec.latents(nearest.astype(np.int16))

    def decoder(self, spec: FeatureSpec, width: int) -> nn.Module:
        """A sigmoid a codebook."""
        from giblet_audio_encodec.decoders import NumberDecoder

        return NumberDecoder(spec, width, self.codec.num_classes)

    @staticmethod
    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error of numbers, averaged over codebooks."""
        return (prediction - target.to(prediction.dtype)).square().mean(-1)


class LatentsTarget(Target):
    """The codec's latents before they are quantised; what is made of them is quantised as sound is."""

    unit = "latent"
    how = "EnCodec quantiser and decoder"

    def of_latents(self, latents: Float32) -> Float32:
        """Themselves."""
        return latents

    def with_level(self, values: Array, level_db: Float) -> Array:
        """Loudness as one more dimension behind the others; a codec that normalises has one of its own."""
        return values if self.codec.loudness is not None else LoudnessBook.append(values, level_db / UNIT_DB)

    def without_level(self, values: Array) -> tuple[Array, Float | None]:
        """The latents, and what stands behind them."""
        size = self.codec.vectors(self.books).shape[2]
        return (values, None) if values.shape[1] == size else (values[:, :size], values[:, size] * UNIT_DB)

    def latents(self, values: Array) -> Float32:
        """The same without loudness."""
        return np.asarray(self.without_level(values)[0], np.float32)

    def heard(self, values: Array) -> Float32:
        """Quantised at the bandwidth."""
        return self.codec.latents(self.codec.quantise(self.latents(values), self.kbps))

    def encoder(self, spec: FeatureSpec, width: int, encoding: Encoding) -> nn.Module:
        """Latents in units of their spread over the codebooks."""
        from giblet_audio_encodec.levels import LevelEncoder, level_width, split_latents
        from giblet_audio_encodec.nets import LatentEncoder

        vectors = self.codec.vectors(self.books)
        content, size = replace(spec, shape=(vectors.shape[2],)), width
        if spec.size > content.size:
            size -= level_width(width)
        net = LatentEncoder(content, size, vectors, encoding.temporal, encoding.net)
        return net if spec.size == content.size else LevelEncoder(net, split_latents, spec, width)

    def decoder(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Latents [n, F, D]."""
        from giblet_audio_encodec.decoders import LatentDecoder
        from giblet_audio_encodec.levels import LevelledLatents, level_width

        vectors = self.codec.vectors(self.books)
        content = replace(spec, shape=(vectors.shape[2],))
        if spec.size == content.size:
            return LatentDecoder(content, width, vectors)
        return LevelledLatents(LatentDecoder(content, width - level_width(width), vectors), spec, width)

    @staticmethod
    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error, averaged over dimensions."""
        return (prediction - target.to(prediction.dtype)).square().mean(-1)


class FinetuneTarget(Target):
    """Sound itself, through a copy of the codec's own nets that trains on; a linear layer stands for the quantiser."""

    unit = "amplitude"
    how = "EnCodec decoder, trained on"

    def __init__(self, codec: Codec, bandwidth_kbps: float) -> None:
        super().__init__(codec, bandwidth_kbps)
        if codec.chunk:
            raise ConfigError(
                "target=finetune takes a codec of one stream of mono sound, not one of chunks; take "
                "facebook/encodec_24khz, or another target"
            )

    def of_latents(self, latents: Float32) -> Float32:
        """What the frozen codec makes of them, [n, hop]."""
        return self.codec.synthesise(latents).reshape(len(latents), -1)

    def stream(self, sound: Iterable[Float32]) -> Iterator[tuple[Array, int]]:
        """The samples of each frame, [n, hop]; nothing is encoded."""
        for block, _, seen in cut_blocks(sound, self.codec.hop, PIECE_FRAMES, 0):
            yield self.extract(block), seen

    def extract(self, sound: Float32) -> Float32:
        """The samples of each frame, [n, hop]."""
        frames = -(-len(sound) // self.codec.hop)
        whole = np.zeros(frames * self.codec.hop, np.float32)
        whole[: len(sound)] = sound.reshape(-1)
        return whole.reshape(frames, self.codec.hop)

    def latents(self, values: Array) -> Float32:
        """What the frozen codec makes of the frames, taken for one sound."""
        from giblet_audio_encodec.streaming import embed_stream

        none = self.codec.latents(np.zeros((0, self.books), np.int16))
        return np.concatenate([none, *(z for z, _ in embed_stream(self.codec, [values.reshape(-1)]))])

    def heard(self, values: Array) -> Float32:
        """What the frozen codec's decoder would get of such sound."""
        return self.codec.latents(self.codec.quantise(self.latents(values), self.kbps))

    def play(self, values: Array) -> Float32:
        """The samples, one frame behind the other; the frozen decoder has no part in it."""
        return np.asarray(values, np.float32).reshape(-1, 1)

    def encoder(self, spec: FeatureSpec, width: int, encoding: Encoding) -> nn.Module:
        """The codec's encoder, then linear layers."""
        from giblet_audio_encodec.finetune import SoundEncoder

        return SoundEncoder(spec, width, self.codec.model, self.codec.vectors(self.books))

    def decoder(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Linear layers, then the codec's decoder."""
        from giblet_audio_encodec.finetune import SoundDecoder

        return SoundDecoder(spec, width, self.codec.model, self.codec.vectors(self.books))

    @staticmethod
    def loss(prediction: Tensor, target: Tensor) -> Tensor:
        """Distance of samples and of log spectra, each within its frame."""
        from giblet_audio_encodec.finetune import frame_loss

        return frame_loss(prediction, target)


TARGETS: dict[str, type[Target]] = {
    "codes": CodesTarget,
    "latents": LatentsTarget,
    "regression": RegressionTarget,
    "finetune": FinetuneTarget,
}
