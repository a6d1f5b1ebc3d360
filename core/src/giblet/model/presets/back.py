"""The way back from the latent, as every preset has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn


class Back(nn.Module, ABC):
    """From the latent to the code of each modality; `name in back` tells whether it gives one."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    @abstractmethod
    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """[.., D] -> {name: [.., W]}."""

    def __contains__(self, name: str) -> bool:
        """Whether the modality is given back."""
        return name in self.names
