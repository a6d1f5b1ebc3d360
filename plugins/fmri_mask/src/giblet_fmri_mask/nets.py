"""Brain heads: linear maps between the latent and the voxels of one subject."""

from __future__ import annotations

from giblet.nn import Dropout, masked_mean
from torch import Tensor, nn

SMALL = 0.1


class ToBrain(nn.Module):
    """[n, D] -> [n, 1, V], of rank D; with a `rank` R it is the product of two maps, [n, D] -> [n, R] -> [n, 1, V]."""

    def __init__(self, width: int, voxels: int, rank: int | None = None) -> None:
        super().__init__()
        self.into = turn(width, rank)
        self.out = nn.Linear(rank or width, voxels)
        nn.init.normal_(self.out.weight, std=SMALL / (rank or width) ** 0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor) -> Tensor:
        """[n, D] -> [n, 1, V]."""
        return self.out(self.into(z)).unsqueeze(1)


class FromBrain(nn.Module):
    """[n, 1, V], [n, 1] -> [n, D]. Small orthogonal weights: stopped early, it acts as a ridge does.

    With a `rank` R it is the product of two maps, [n, 1, V] -> [n, R] -> [n, D].
    """

    def __init__(self, voxels: int, width: int, dropout: float, rank: int | None = None) -> None:
        super().__init__()
        self.drop = Dropout(dropout)
        self.out = nn.Linear(voxels, rank or width)
        self.wide = turn(rank, width)
        nn.init.orthogonal_(self.out.weight, gain=SMALL)
        nn.init.zeros_(self.out.bias)

    def forward(self, y: Tensor, mask: Tensor) -> Tensor:
        """[n, 1, V], [n, 1] -> [n, D]; a TR without a scan gives the bias alone."""
        return self.wide(self.out(self.drop(masked_mean(y.flatten(2).to(self.out.weight.dtype), mask))))


def turn(inputs: int | None, outputs: int | None) -> nn.Module:
    """A map between two latents that keeps lengths as far as it can; where there is only one, nothing."""
    if inputs is None or outputs is None:
        return nn.Identity()
    made = nn.Linear(inputs, outputs, bias=False)
    nn.init.orthogonal_(made.weight)
    return made
