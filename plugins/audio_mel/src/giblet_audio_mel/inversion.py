"""From a mel spectrogram back to sound: magnitudes that fit the mel bands, then a phase that fits the magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from giblet_audio_mel.features import Float32, Mel, mel_filters

if TYPE_CHECKING:
    from torch import Tensor

PIECE, LOOK_BACK, LOOK_AHEAD = 1024, 16, 8
"""Frames that are solved at once, those that a piece shares with the sound before it, and those it sees beyond its end."""
FIT_STEPS = 30
MOMENTUM = 0.99


def griffin_lim(db: Float32, mel: Mel, n_samples: int, n_iter: int = 32, seed: int = 0) -> Float32:
    """Sound [n_samples] whose mel spectrogram is near `db` [N, n_mels]; memory does not grow with its length.

    Fast Griffin-Lim (Perraudin et al. 2013, doi:10.1109/WASPAA.2013.6701851) in torch, piece after piece: the sound
    before a piece is held fixed while the piece is solved, so that phases run on.
    """
    import torch

    noise = torch.Generator().manual_seed(seed)
    out = np.zeros(max(n_samples, len(db) * mel.hop), np.float32)
    for start in range(0, len(db), PIECE):
        first = max(0, start - LOOK_BACK)
        frames = db[first : start + PIECE + LOOK_AHEAD]
        known = torch.from_numpy(out[first * mel.hop : start * mel.hop].copy())
        solved = _solve(_magnitude(frames, mel), known, mel, n_iter, noise)[: (start + PIECE - first) * mel.hop]
        out[first * mel.hop : first * mel.hop + len(solved)] = solved.numpy()
    return out[:n_samples]


def _magnitude(db: Float32, mel: Mel) -> Tensor:
    """Linear magnitudes [1 + n_fft // 2, n] whose power fits the mel power.

    Multiplicative updates from the smallest-norm solution (Lee & Seung 2001): never negative, no least squares a frame.
    """
    import torch

    filters = torch.from_numpy(mel_filters(mel))
    power = torch.from_numpy(10.0 ** (np.minimum(db, 60.0).T / 10.0)).float()
    fit = (torch.linalg.pinv(filters) @ power).clamp_min(1e-10)
    wanted = filters.T @ power
    for _ in range(FIT_STEPS):
        fit *= wanted / (filters.T @ (filters @ fit)).clamp_min(1e-12)
    return fit.sqrt()


def _solve(magnitude: Tensor, known: Tensor, mel: Mel, n_iter: int, noise: object) -> Tensor:
    """Sound [n * hop] of magnitudes [bins, n] that begins with `known`."""
    import torch

    window = torch.hann_window(mel.n_fft)
    length = magnitude.shape[1] * mel.hop

    def sound(spectrum: Tensor) -> Tensor:
        made = torch.istft(spectrum, mel.n_fft, mel.hop, window=window, length=length)
        made[: len(known)] = known
        return made

    angle = 2 * torch.pi * torch.rand(magnitude.shape, generator=noise)  # type: ignore[call-overload]
    spectrum, before = torch.polar(magnitude, angle), torch.zeros(())
    for _ in range(n_iter):
        again = torch.stft(
            sound(spectrum), mel.n_fft, mel.hop, window=window, pad_mode="constant", return_complex=True
        )[:, : magnitude.shape[1]]
        ahead = again + MOMENTUM * (again - before)
        spectrum, before = magnitude * ahead / ahead.abs().clamp_min(1e-16), again
    return sound(spectrum)
