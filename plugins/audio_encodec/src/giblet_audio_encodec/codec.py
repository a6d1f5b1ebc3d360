"""The frozen codec: found without waiting for a network that is not there, loaded once a process."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from giblet.errors import ConfigError, WeightsError
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Codes = NDArray[np.int16]
Float32 = NDArray[np.float32]

FILES = ("config.json", "model.safetensors")
TIMEOUT_S = 5.0


class Codec:
    """An EnCodec model with its numbers, on CUDA or else on the CPU: on MPS its codes are wrong."""

    def __init__(self, model: Any, device: str) -> None:
        self.model, self.device = model.to(device).eval(), device
        self.rate_hz: int = model.config.sampling_rate
        self.hop: int = model.config.hop_length
        self.num_classes: int = model.config.codebook_size

    def codebooks(self, bandwidth_kbps: float) -> int:
        """C, the number of codebooks at a bandwidth.

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
        return int(self.model.quantizer.get_num_quantizers_for_bandwidth(bandwidth_kbps))

    def encode(self, sound: Float32, bandwidth_kbps: float) -> Codes:
        """Codes [n, C] of sound [n * hop], in one call."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(sound, np.float32))[None, None].to(self.device)
            codes = self.model.quantizer.encode(self.model.encoder(x), bandwidth_kbps)
        return np.asarray(codes[:, 0].T.cpu().numpy(), np.int16)

    def latents(self, codes: Codes) -> Float32:
        """The codec's continuous latents [n, D] of codes [n, C]."""
        return np.asarray(self._latents(codes)[0].T.cpu().numpy(), np.float32)

    def decode(self, codes: Codes) -> Float32:
        """Sound [n * hop] of codes [n, C], in one call."""
        import torch

        with torch.inference_mode():
            return np.asarray(self.model.decoder(self._latents(codes))[0, 0].cpu().numpy(), np.float32)

    def _latents(self, codes: Codes) -> Any:
        import torch

        with torch.inference_mode():
            books = torch.from_numpy(np.ascontiguousarray(codes.T)).long()[:, None].to(self.device)
            return self.model.quantizer.decode(books)

    def vectors(self, books: int) -> Tensor:
        """The vectors of the first codebooks, [C, K, D]."""
        import torch

        return torch.stack([q.codebook.embed for q in self.model.quantizer.layers[:books]]).cpu().clone()


@lru_cache(maxsize=2)
def load_codec(weights: str) -> Codec:
    """The codec of a hub name or a folder, loaded once a process.

    Raises
    ------
    WeightsError
        If the weights cannot be had here, or are no EnCodec; it names the three ways out.
    ConfigError
        If it is the stereo model that works on chunks of one second.
    """
    import torch
    from transformers import EncodecModel

    folder = find_weights(weights)
    try:
        model = EncodecModel.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _missing(weights, f"{folder} holds no EnCodec model ({_first_line(error)})") from None
    if model.config.model_type != "encodec" or not any(q.codebook.embed.any() for q in model.quantizer.layers):
        raise _missing(weights, f"{folder} holds no trained EnCodec model")
    if model.config.audio_channels != 1 or model.config.chunk_length_s or model.config.normalize:
        raise ConfigError(
            f"{weights} works on chunks of stereo sound; set weights to a mono model, facebook/encodec_24khz"
        )
    return Codec(model, "cuda" if torch.cuda.is_available() else "cpu")


def find_weights(weights: str) -> Path:
    """The folder of a model: itself, the hub's cache, or a download; a local folder never asks the hub."""
    folder = Path(weights).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return folder
        raise _missing(weights, f"the folder {folder} has no config.json")
    if folder.is_absolute() or weights.startswith((".", "~")) or weights.count("/") != 1:
        raise _missing(weights, f"there is no folder {folder}")
    return _from_hub(weights)


def _from_hub(name: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    fetch = partial(snapshot_download, name, allow_patterns=list(FILES), etag_timeout=TIMEOUT_S)
    try:
        cached = Path(fetch(local_files_only=True))
        if all((cached / file).is_file() for file in FILES):
            return cached
    except LocalEntryNotFoundError:
        pass
    if constants.HF_HUB_OFFLINE:
        raise _missing(name, "HF_HUB_OFFLINE is set and they are not in the hub's cache")
    try:
        _reach(constants.ENDPOINT, name)
        return Path(fetch())
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise _missing(name, f"the model hub cannot give them ({_first_line(error)})") from None


def _reach(endpoint: str, name: str) -> None:
    """One short question before the hub's client begins its minutes of retries."""
    from urllib.request import Request, urlopen

    request = Request(f"{endpoint}/{name}/resolve/main/{FILES[0]}", method="HEAD")
    with urlopen(request, timeout=TIMEOUT_S):
        pass


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]


def _missing(weights: str, why: str) -> WeightsError:
    return WeightsError(
        f"no weights {weights!r} for audio_encodec: {why}; either run `hf download facebook/encodec_24khz "
        "--local-dir DIR` on a machine with network and copy DIR here, or set audio.weights to a folder that has them, "
        "or choose --audio mel"
    )
