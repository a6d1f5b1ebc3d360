"""How far decoded sound is from the sound: waveform, complex and magnitude spectra, and mel bands."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

RATE_HZ = 24_000
SIZES = (2048, 1024, 512, 256)
"""Window lengths; hops are a quarter of them (Yamamoto et al. 2020, arXiv:1910.11480)."""
MELS = {2048: 80, 1024: 80, 512: 40, 256: 20}
PHASE_SIZES = (1024, 512)
COMPRESSION = 0.3
"""Exponent of magnitudes, as in speech enhancement (Braun & Tashev 2021, doi:10.1109/TSP52935.2021.9522648)."""
MEL_FLOOR = 1e-2
WEIGHTS = {"time": 1.5, "magnitude": 2.0, "complex": 2.0, "mel": 0.5}
QUIETEST = 1e-3


def distances(made: Tensor, sound: Tensor) -> dict[str, Tensor]:
    """Each distance of `made` [B, N] from `sound` [B, N], relative to the loudness of the sound."""
    level = sound.square().mean(1, keepdim=True).sqrt().clamp_min(QUIETEST)
    made, sound = made / level, sound / level
    parts: dict[str, list[Tensor]] = {"time": [(made - sound).abs().mean()], "magnitude": [], "complex": [], "mel": []}
    for size in SIZES:
        a, b = _spectrum(made, size), _spectrum(sound, size)
        power_a, power_b = _power(a), _power(b)
        small_a, small_b = power_a ** (COMPRESSION / 2), power_b ** (COMPRESSION / 2)
        parts["magnitude"].append((small_a - small_b).abs().mean())
        if size in PHASE_SIZES:
            turned = a * (small_a / power_a.sqrt()) - b * (small_b / power_b.sqrt())
            parts["complex"].append(torch.view_as_real(turned).square().sum(-1).mean())
        if size in MELS:
            bands = _mel_filters(size)
            parts["mel"].append(
                ((bands @ power_a.sqrt() + MEL_FLOOR).log() - (bands @ power_b.sqrt() + MEL_FLOOR).log()).abs().mean()
            )
    return {name: torch.stack(values).mean() for name, values in parts.items()}


def total(parts: dict[str, Tensor]) -> Tensor:
    """The weighted sum of distances."""
    return torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()


def _spectrum(sound: Tensor, size: int) -> Tensor:
    """Spectra [B, 1 + size // 2, frames]; a sine of amplitude 1 has magnitude sqrt(size) / 2 or less."""
    window = torch.hann_window(size)
    return torch.stft(sound, size, size // 4, window=window / size**0.5, return_complex=True)


def _power(spectrum: Tensor) -> Tensor:
    return torch.view_as_real(spectrum).square().sum(-1) + 1e-5


@cache
def _mel_filters(size: int) -> Tensor:
    """Triangles [mels, bins] of unit sum."""
    from librosa.filters import mel

    filters = torch.from_numpy(mel(sr=RATE_HZ, n_fft=size, n_mels=MELS[size]))
    return filters / filters.sum(1, keepdim=True).clamp_min(1e-9)
