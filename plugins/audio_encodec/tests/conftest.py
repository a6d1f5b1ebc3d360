"""Small codecs with random weights and filled, different codebooks, and sound to put through them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

RATE_HZ = 24_000


def melody(duration_s: float, seed: int = 0) -> np.ndarray:
    """Notes of changing pitch and loudness, a third of a second each, [n] at 24 kHz."""
    rng = np.random.default_rng(seed)
    notes = []
    for _ in range(int(duration_s * 3) + 1):
        t = np.arange(RATE_HZ // 3) / RATE_HZ
        pitch = rng.choice([110, 220, 440, 880])
        tone = np.sin(2 * np.pi * pitch * t) + 0.5 * np.sin(4 * np.pi * pitch * t + 1)
        notes.append(rng.choice([0.05, 0.3]) * tone)
    x = np.concatenate(notes)[: int(duration_s * RATE_HZ)]
    return (x + 1e-3 * rng.standard_normal(len(x))).astype(np.float32)


def as_input(model, sound: np.ndarray) -> torch.Tensor:
    """Sound [n] in every channel, [1, channels, n], of RMS 1 where the codec divides by it."""
    x = torch.from_numpy(sound)[None, None].repeat(1, model.config.audio_channels, 1)
    return x / x.square().mean().sqrt() if model.config.normalize else x


def scale_ends(model, sound: np.ndarray) -> None:
    """Latents of SD 1 and sound of SD 0.1, as those of a trained codec; a codec with norms has such already."""
    if model.config.normalize:
        return
    with torch.no_grad():
        latents = model.encoder(as_input(model, sound))
        model.encoder.layers[-1].conv.parametrizations.weight.original0.div_(latents.std())
        made = model.decoder(latents / latents.std())
        model.decoder.layers[-1].conv.parametrizations.weight.original0.mul_(0.1 / made.std())


def fill_codebooks(model, sound: np.ndarray, seed: int = 0) -> None:
    """Codebook c becomes residuals that the books before it leave on real latents of this sound."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        residual = model.encoder(as_input(model, sound))[0].T
        for layer in model.quantizer.layers:
            book = layer.codebook
            rows = torch.randint(len(residual), (book.codebook_size,), generator=rng)
            jitter = 0.1 * residual.std(0) * torch.randn(book.embed.shape, generator=rng)
            book.embed.copy_(residual[rows] + jitter)
            residual = residual - book.decode(book.encode(residual))


@pytest.fixture(scope="session", name="melody")
def melody_fixture() -> Callable[..., np.ndarray]:
    return melody


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_weights(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="session")
def stereo_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_weights(tmp_path_factory.mktemp("stereo"), **STEREO)


SMALL = {"num_filters": 4, "hidden_size": 32, "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0], "num_lstm_layers": 1}
STEREO = {
    "sampling_rate": 48_000,
    "audio_channels": 2,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "use_causal_conv": False,
    "norm_type": "time_group_norm",
    "target_bandwidths": [3.0, 6.0],
}
"""What tells facebook/encodec_48khz from facebook/encodec_24khz."""


def make_weights(folder: Path, **config: object) -> str:
    """Save the small model into a folder and return its name."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    model = EncodecModel(EncodecConfig(**(SMALL | config))).eval()
    for name, parameter in model.named_parameters():
        if "bias" in name:
            torch.nn.init.zeros_(parameter)  # so that latents vary around zero, as those of a trained codec do
    scale_ends(model, melody(3.0))
    fill_codebooks(model, melody(30.0))
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "melody.wav"
    soundfile.write(path, melody(6.61), RATE_HZ, subtype="FLOAT")
    return path


@pytest.fixture(scope="session")
def stereo_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6.61 s at 48 kHz: two melodies, louder second by second."""
    path = tmp_path_factory.mktemp("stereo-sound") / "melodies.wav"
    left, right = (np.repeat(melody(6.61, seed), 2) for seed in (0, 1))
    swell = np.linspace(0.05, 1.0, len(left), dtype=np.float32)[:, None]
    soundfile.write(path, swell * np.stack([left, right], 1), 2 * RATE_HZ, subtype="FLOAT")
    return path
