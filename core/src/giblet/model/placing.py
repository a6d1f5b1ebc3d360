"""Arrays onto the device that a network is on."""

from __future__ import annotations

from itertools import chain
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Host: TypeAlias = NDArray[Any] | Tensor
"""An array, or the same as a tensor in pinned memory."""


def device_of(module: nn.Module) -> torch.device:
    """Where a network's parameters are, or its buffers; the CPU if it has neither."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def placed(array: Host, module: nn.Module) -> Tensor:
    """An array as a tensor beside a network's parameters; on the CPU it is not copied unless it is read-only.

    What is pinned is copied to a GPU while the GPU computes.
    """
    tensor = array if isinstance(array, Tensor) else _tensor(array)
    return tensor.to(device_of(module), non_blocking=True)


def pinned(array: NDArray[Any]) -> Tensor:
    """An array in memory that a GPU can read by itself."""
    return _tensor(array).pin_memory()


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())
