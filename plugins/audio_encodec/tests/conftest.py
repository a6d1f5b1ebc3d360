"""A small codec with random weights and filled, different codebooks, and sound to put through it."""

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


def scale_ends(model, sound: np.ndarray) -> None:
    """Latents of SD 1 and sound of SD 0.1, as those of a trained codec."""
    with torch.no_grad():
        latents = model.encoder(torch.from_numpy(sound)[None, None])
        model.encoder.layers[-1].conv.parametrizations.weight.original0.div_(latents.std())
        made = model.decoder(latents / latents.std())
        model.decoder.layers[-1].conv.parametrizations.weight.original0.mul_(0.1 / made.std())


def fill_codebooks(model, sound: np.ndarray, seed: int = 0) -> None:
    """Codebook c becomes residuals that the books before it leave on real latents of this sound."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        residual = model.encoder(torch.from_numpy(sound)[None, None])[0].T
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


def make_weights(folder: Path) -> str:
    """Save the small model into a folder and return its name."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    config = EncodecConfig(num_filters=4, hidden_size=32, target_bandwidths=[1.5, 3.0, 6.0], num_lstm_layers=1)
    model = EncodecModel(config).eval()
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
