"""The frozen codec: sound to latents to codes, and back; loaded once a process."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from giblet.errors import ConfigError
from numpy.typing import NDArray

from giblet_audio_encodec.loudness import LoudnessBook
from giblet_audio_encodec.weights import find_weights, fingerprint, first_line, missing

if TYPE_CHECKING:
    from torch import Tensor

Codes = NDArray[np.int16]
Float32 = NDArray[np.float32]


class Codec:
    """An EnCodec model with its numbers, on CUDA or else on the CPU: on MPS its codes are wrong.

    The 48 kHz model divides a chunk of sound by its loudness. That is kept as one more book, before the others, and as
    one more dimension of the latents, behind the others (`loudness`), so that nothing is lost and all of it is learned.

    Attributes
    ----------
    chunk, stride : int or None, int
        Samples of a chunk that is encoded by itself, and from one to the next; None where sound is one long stream.
    frame_samples : Fraction
        From one frame to the next: `hop`, or, of chunks that overlap by 1 %, what is left for each of their frames.
    """

    def __init__(self, model: Any, device: str, digest: bytes = b"") -> None:
        self.model, self.device, self.digest = model.to(device).eval(), device, digest
        config = model.config
        self.rate_hz: int = config.sampling_rate
        self.channels: int = config.audio_channels
        self.hop: int = config.hop_length
        self.num_classes: int = config.codebook_size
        self.chunk: int | None = config.chunk_length
        self.stride: int = config.chunk_stride or 0
        self.loudness = LoudnessBook(self.num_classes) if config.normalize else None
        self.frame_samples = Fraction(self.stride, -(-self.chunk // self.hop)) if self.chunk else Fraction(self.hop)

    def books(self, bandwidth_kbps: float) -> int:
        """C, the number of codebooks at a bandwidth, that of loudness with them.

        Raises
        ------
        ConfigError
            If the model was not made for this bandwidth.
        """
        legal = [float(b) for b in self.model.config.target_bandwidths]
        if bandwidth_kbps not in legal:
            raise ConfigError(
                f"this codec has no bandwidth of {bandwidth_kbps} kbps; set bandwidth_kbps to one of {legal}"
            )
        return int(self.model.quantizer.get_num_quantizers_for_bandwidth(bandwidth_kbps)) + bool(self.loudness)

    def embed(self, sound: Float32) -> Float32:
        """Latents [n, D] of sound [n * hop, channels] in one call: of at most one chunk, where there are chunks."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(sound.reshape(-1, self.channels).T, np.float32))[None]
            if self.loudness is None:
                return self._numpy(self.model.encoder(x.to(self.device)))
            x, level = self.loudness.divide(x)
            return self.loudness.append(self._numpy(self.model.encoder(x.to(self.device))), level)

    def quantise(self, latents: Float32, bandwidth_kbps: float) -> Codes:
        """The codes [n, C] whose vectors add up nearest to latents [n, D], coarse book first."""
        import torch

        from giblet_audio_encodec.quantising import residual_codes

        with torch.inference_mode():
            z, level = self._split(latents)
            heard = self.books(bandwidth_kbps) - bool(self.loudness)
            books = [layer.codebook.embed for layer in self.model.quantizer.layers[:heard]]
            codes = residual_codes(books, torch.from_numpy(z).to(self.device)).cpu().numpy()
        if self.loudness is not None:
            codes = np.concatenate([self.loudness.codes(level)[:, None], codes], 1)
        return np.asarray(codes, np.int16)

    def encode(self, sound: Float32, bandwidth_kbps: float) -> Codes:
        """Codes [n, C] of sound [n * hop, channels], in one call."""
        return self.quantise(self.embed(sound), bandwidth_kbps)

    def latents(self, codes: Codes) -> Float32:
        """The latents [n, D] that codes [n, C] stand for."""
        import torch

        heard = codes if self.loudness is None else codes[:, 1:]
        with torch.inference_mode():
            books = torch.from_numpy(np.ascontiguousarray(heard.T)).long()[:, None].to(self.device)
            z = self._numpy(self.model.quantizer.decode(books))
        return z if self.loudness is None else self.loudness.append(z, self.loudness.levels(codes[:, 0]))

    def synthesise(self, latents: Float32) -> Float32:
        """Sound [n * hop, channels] of latents [n, D], in one call."""
        import torch

        with torch.inference_mode():
            z, level = self._split(latents)
            sound = self._numpy(self.model.decoder(self._tensor(z)))
        return sound if self.loudness is None else sound * self.loudness.gain(level)

    def decode(self, codes: Codes) -> Float32:
        """Sound [n * hop, channels] of codes [n, C], in one call."""
        return self.synthesise(self.latents(codes))

    def vectors(self, books: int) -> Tensor:
        """The vectors of the first codebooks, [C, K, D]."""
        import torch

        heard = books - bool(self.loudness)
        found = torch.stack([q.codebook.embed for q in self.model.quantizer.layers[:heard]]).cpu().clone()
        return found if self.loudness is None else self.loudness.with_vectors(found)

    def _split(self, latents: Float32) -> tuple[Float32, Float32]:
        """What the codec's own nets read, and the loudness; empty where there is none."""
        heard = latents.shape[1] - bool(self.loudness)
        return latents[:, :heard], latents[:, heard:].reshape(-1)

    def _tensor(self, latents: Float32) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(latents.T, np.float32))[None].to(self.device)

    @staticmethod
    def _numpy(x: Tensor) -> Float32:
        return np.asarray(x[0].T.cpu().numpy(), np.float32)


@lru_cache(maxsize=2)
def load_codec(weights: str) -> Codec:
    """The codec of a name or a folder, in float32, loaded once a process.

    Raises
    ------
    WeightsError
        If the weights cannot be had here, or are no EnCodec; it names the three ways out.
    ConfigError
        If it works on whole sounds only.
    """
    import torch
    from transformers import EncodecModel
    from transformers.utils import logging

    folder = find_weights(weights)
    logging.disable_progress_bar()
    try:
        model = EncodecModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except Exception as error:  # a damaged file raises whatever its reader raises
        raise missing(weights, f"{folder} holds no EnCodec model ({first_line(error)})") from None
    if model.config.model_type != "encodec" or not any(q.codebook.embed.any() for q in model.quantizer.layers):
        raise missing(weights, f"{folder} holds no trained EnCodec model")
    if not model.config.chunk_length_s and (model.config.normalize or not model.config.use_causal_conv):
        raise ConfigError(
            f"{weights} needs all of a sound at once, so that a film cannot be read in pieces; take a causal codec "
            "(facebook/encodec_24khz), or one of chunks (facebook/encodec_48khz)"
        )
    return Codec(model, "cuda" if torch.cuda.is_available() else "cpu", fingerprint(folder))
