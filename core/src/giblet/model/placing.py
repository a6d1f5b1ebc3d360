"""Arrays onto the device that a network is on."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def device_of(module: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU if it has none."""
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def placed(array: NDArray[Any], module: nn.Module) -> Tensor:
    """An array as a tensor beside a network's parameters; on the CPU it is not copied unless it is read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device_of(module))
