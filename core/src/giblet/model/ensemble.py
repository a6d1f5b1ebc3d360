"""Several autoencoders that started from different seeds, behind the interface of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from giblet.model.autoencoder import Autoencoder
from giblet.model.presets import Middle
from giblet.model.presets.back import Back


class Ensemble(nn.Module):
    """Members that are trained apart, and averaged where their answers can be: in brain space and in codes.

    Averaging takes out what a member owes to its seed (Hansen & Salamon 1990, doi:10.1109/34.58871). What the heads
    read, and latents, are the members' side by side.
    """

    def __init__(self, members: Sequence[Autoencoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.subjects, self.names, self.config = members[0].subjects, members[0].names, members[0].config

    def each(self) -> list[Autoencoder]:
        """The members."""
        return [m for m in self.members if isinstance(m, Autoencoder)]

    @property
    def first(self) -> Autoencoder:
        """The first member, which stands for the others where they are alike: sizes, and what is fitted before all."""
        return self.each()[0]

    @property
    def middle(self) -> Middle:
        """What lies between brain heads and voxels, the same in all members."""
        return self.first.middle

    @property
    def outputs(self) -> Back:
        """The first member's way back, for the names of what is read back."""
        return self.first.outputs

    def drive(self, h: Mapping[str, Tensor], plain: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """What the members predict scans from, side by side, [B, T, M * (D * K + Q)]."""
        return torch.cat([m.drive(h, plain, present) for m in self.each()], -1)

    def late(self, drive: Tensor, subject: int) -> Tensor:
        """The members' drives of a whole run, each as much later as it found the person's response to be."""
        parts = zip(self.each(), drive.chunk(len(self.members), -1), strict=True)
        return torch.cat([m.late(d, subject) for m, d in parts], -1)

    def brain(self, drive: Tensor, subject: int) -> Tensor:
        """What one person's scan would be, the mean over members, [B, T, V]."""
        parts = drive.chunk(len(self.members), -1)
        return torch.stack([m.brain(d, subject) for m, d in zip(self.each(), parts, strict=True)]).mean(0)

    def read(self, y: Tensor, valid: Tensor, subject: int) -> Tensor:
        """What the members read of blocks of a person's scan [B, T, V], side by side."""
        return torch.cat([m.read(y, valid, subject) for m in self.each()], -1)

    def rebuild(self, z: Tensor) -> dict[str, Tensor]:
        """The code of each modality, the mean over members, [.., T, width]."""
        parts = z.chunk(len(self.members), -1)
        every = [m.rebuild(part) for m, part in zip(self.each(), parts, strict=True)]
        return {name: torch.stack([codes[name] for codes in every]).mean(0) for name in every[0]}

    def trunk_parameters(self) -> int:
        """Parameters of all but front ends and brain heads."""
        return sum(m.trunk_parameters() for m in self.each())


Model = Autoencoder | Ensemble
"""What everything else uses: drive, brain, read and rebuild."""


def members_of(model: Model) -> list[Autoencoder]:
    """The autoencoders of a model, one or more."""
    return model.each() if isinstance(model, Ensemble) else [model]
