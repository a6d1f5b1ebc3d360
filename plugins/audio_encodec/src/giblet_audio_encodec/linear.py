"""The linear way from latents to the code of a TR and back, known before anything is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RANK = 16
"""Linear units a frame between the codec's latent and the code of the TR: a tenth of the weights of one layer."""


def smooth_patterns(frames: int, width: int) -> Tensor:
    """Cosines over the frames of a TR, one for each unit of the code: [width, F * RANK], orthonormal rows.

    The slowest of the strongest axes come first: pattern i of axis j in the order of (1 + i) (1 + j), in which the
    variance of sound falls. The rows beyond F * RANK are zero.
    """
    place = (torch.arange(frames) + 0.5) / frames
    waves = torch.cos(torch.pi * torch.arange(frames)[:, None] * place)
    waves = waves / waves.norm(dim=1, keepdim=True)
    order = ((1 + torch.arange(frames))[:, None] * (1 + torch.arange(RANK))).flatten().argsort(stable=True)[:width]
    out = torch.zeros(width, frames, RANK)
    rows, axes = torch.arange(len(order)), order % RANK
    out[rows, :, axes] = waves[order // RANK]
    return out.flatten(1)


def leading_axes(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [D] of latents, their RANK strongest axes [RANK, D] and the SD [RANK] along them.

    The latents are those of codebooks [C, K, D] whose codes are drawn evenly.
    """
    centred = vectors - vectors.mean(1, keepdim=True)
    found = torch.linalg.eigh((centred.mT @ centred).sum(0) / vectors.shape[1])
    axes, variance = found.eigenvectors.T.flip(0)[:RANK], found.eigenvalues.flip(0)[:RANK]
    missing = RANK - len(axes)
    sd = nn.functional.pad(variance.clamp_min(0).sqrt(), (0, missing)).clamp_min(1e-6)
    return vectors.mean(1).sum(0), nn.functional.pad(axes, (0, 0, 0, missing)), sd


class ToCode(nn.Module):
    """Latents [n, F, D'], [n, F] -> [n, D]: the strongest axes of the codebooks [C, K, D'], slow patterns of the TR."""

    def __init__(self, frames: int, width: int, vectors: Tensor) -> None:
        super().__init__()
        self.narrow, self.out = nn.Linear(vectors.shape[2], RANK), nn.Linear(RANK * frames, width)
        centre, axes, sd = leading_axes(vectors)
        with torch.no_grad():
            self.narrow.weight.copy_(axes / sd[:, None])
            self.narrow.bias.copy_(-(axes @ centre) / sd)
            self.out.weight.copy_(smooth_patterns(frames, width))
            self.out.bias.zero_()

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D'], [n, F] -> [n, D]."""
        return self.out((self.narrow(latents) * mask.unsqueeze(-1).to(latents.dtype)).flatten(1))


class FromCode(nn.Module):
    """[n, D] -> latents [n, F, D'], the same layers the other way."""

    def __init__(self, frames: int, width: int, vectors: Tensor) -> None:
        super().__init__()
        self.start, self.widen = nn.Linear(width, RANK * frames), nn.Linear(RANK, vectors.shape[2])
        centre, axes, sd = leading_axes(vectors)
        with torch.no_grad():
            self.start.weight.copy_(smooth_patterns(frames, width).T)
            self.start.bias.zero_()
            self.widen.weight.copy_(axes.T * sd)
            self.widen.bias.copy_(centre)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, D']."""
        return self.widen(self.start(h).unflatten(1, (-1, RANK)))
