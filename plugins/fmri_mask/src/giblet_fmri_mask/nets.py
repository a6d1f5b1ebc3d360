"""Brain heads: linear maps between the latent and the voxels of one subject."""

from __future__ import annotations

from giblet.nn import masked_mean
from torch import Tensor, nn

SMALL = 0.1


class ToBrain(nn.Module):
    """[n, D] -> [n, 1, V]. With fewer latent units than voxels, its rank is D: this is the low-rank head."""

    def __init__(self, width: int, voxels: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, voxels)
        nn.init.normal_(self.out.weight, std=SMALL / width**0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor) -> Tensor:
        """[n, D] -> [n, 1, V]."""
        return self.out(z).unsqueeze(1)


class FromBrain(nn.Module):
    """[n, 1, V], [n, 1] -> [n, D]. Small orthogonal weights: stopped early, it acts as a ridge does."""

    def __init__(self, voxels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(voxels, width)
        nn.init.orthogonal_(self.out.weight, gain=SMALL)
        nn.init.zeros_(self.out.bias)

    def forward(self, y: Tensor, mask: Tensor) -> Tensor:
        """[n, 1, V], [n, 1] -> [n, D]; a TR without a scan gives the bias alone."""
        return self.out(self.drop(masked_mean(y.flatten(2).to(self.out.weight.dtype), mask)))
