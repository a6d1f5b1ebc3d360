"""From a mel spectrogram back to sound: magnitudes that fit the mel bands, then a phase that fits the magnitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from giblet_audio_mel.features import Float32, Mel, mel_filters

if TYPE_CHECKING:
    from torch import Generator, Tensor

PIECE, LOOK_BACK, LOOK_AHEAD = 1024, 16, 8
"""Frames that are solved at once, that a piece shares with the sound before it, and that it sees beyond its end."""
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
        solved = _solve(magnitude(frames, mel), known, mel, n_iter, noise)[: (start + PIECE - first) * mel.hop]
        out[first * mel.hop : first * mel.hop + len(solved)] = solved.numpy()
    return out[:n_samples]


def magnitude(db: Float32, mel: Mel) -> Tensor:
    """Linear magnitudes [n, 1 + n_fft // 2] whose power fits the mel power.

    Multiplicative updates from the smallest-norm solution (Lee & Seung 2001): never negative, no least squares a frame.
    """
    import torch

    filters = torch.from_numpy(mel_filters(mel))
    power = torch.from_numpy(10.0 ** (np.minimum(db, 60.0).T / 10.0)).float()
    fit = (torch.linalg.pinv(filters) @ power).clamp_min(1e-10)
    wanted = filters.T @ power
    for _ in range(FIT_STEPS):
        fit *= wanted / (filters.T @ (filters @ fit)).clamp_min(1e-12)
    return fit.sqrt().T.contiguous()


def _solve(wanted: Tensor, known: Tensor, mel: Mel, n_iter: int, noise: Generator) -> Tensor:
    """Sound [n * hop] of wanted magnitudes [n, bins] that begins with `known`."""
    import torch

    spectrum = torch.polar(wanted, 2 * torch.pi * torch.rand(wanted.shape, generator=noise))
    before = torch.zeros_like(spectrum)
    weight = _overlap_add(torch.hann_window(mel.n_fft).square().expand(len(wanted), -1), mel).clamp_min(1e-3)
    for _ in range(n_iter):
        again = _spectrum(_sound(spectrum, weight, known, mel), mel)
        ahead = torch.lerp(torch.view_as_real(before), torch.view_as_real(again), 1 + MOMENTUM)
        ahead *= (wanted * (ahead[..., 0].square() + ahead[..., 1].square() + 1e-20).rsqrt()).unsqueeze(-1)
        spectrum, before = torch.view_as_complex(ahead), again
    return _sound(spectrum, weight, known, mel)


def _spectrum(sound: Tensor, mel: Mel) -> Tensor:
    """Spectra [n, bins] of sound [n * hop], frame k centred at k * hop."""
    import torch

    padded = torch.nn.functional.pad(sound, (mel.n_fft // 2, mel.n_fft // 2))
    frames = padded.unfold(0, mel.n_fft, mel.hop)[: len(sound) // mel.hop]
    return torch.fft.rfft(frames * torch.hann_window(mel.n_fft))


def _sound(spectrum: Tensor, weight: Tensor, known: Tensor, mel: Mel) -> Tensor:
    """The sound [n * hop] nearest to spectra [n, bins] whose windows weigh `weight`, `known` put at its beginning.

    Overlap-add as sums of whole hops: four times as fast as `torch.istft`.
    """
    import torch

    frames = torch.fft.irfft(spectrum, mel.n_fft) * torch.hann_window(mel.n_fft)
    sound = (_overlap_add(frames, mel) / weight)[mel.n_fft // 2 :][: len(spectrum) * mel.hop]
    sound[: len(known)] = known
    return sound


def _overlap_add(frames: Tensor, mel: Mel) -> Tensor:
    """Frames [n, n_fft] laid a hop apart and summed, [at least (n - 1) * hop + n_fft]."""
    import torch

    hops = -(-mel.n_fft // mel.hop)
    whole = torch.nn.functional.pad(frames, (0, hops * mel.hop - mel.n_fft)).unflatten(1, (hops, mel.hop))
    out = frames.new_zeros(len(frames) + hops, mel.hop)
    for part in range(hops):
        out[part : part + len(frames)] += whole[:, part]
    return out.flatten()
