"""Weights of a published net: fetched by name, or read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from giblet.errors import WeightsError
from giblet.weights import weights_place


@dataclass(frozen=True)
class PublishedWeights:
    """What a net's weights may be, and what to say when they cannot be had."""

    net: str
    """The net's name, for people."""
    name: str
    """What stands for the weights that `fetch` gets from the network."""
    fetch: Callable[[], Mapping[str, Tensor]]
    advice: str
    """What to give instead, the end of the error."""

    def load(self, net: nn.Module, weights: str, kept: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]) -> None:
        """Load the named weights, or those of a state dict's file, into a net; `kept` picks what it has a place for.

        A file is torch's or safetensors'; a name of `giblet weights` stands for one.

        Raises
        ------
        WeightsError
            If they cannot be had, or are those of another net.
        """
        place = weights_place(weights)
        try:
            net.load_state_dict(kept(self._state(place)))
        except Exception as error:  # whatever a download or a foreign file raises
            raise self.missing(weights, error) from None

    def missing(self, weights: str, error: Exception) -> WeightsError:
        """The error, in one line: which weights, why, and what to do."""
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        return WeightsError(f"{self.net} weights {weights!r} cannot be had: {reason}; {self.advice}")

    def _state(self, place: str) -> Mapping[str, Tensor]:
        if place == self.name:
            return self.fetch()
        file = Path(place).expanduser()
        if file.suffix == ".safetensors":
            return load_file(file)
        state: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return state
