"""Weights, gradients and the optimiser's moments spread over the ranks (FSDP2), for models that one device cannot hold.

Zhao et al. 2023, doi:10.14778/3611540.3611569; torch's `fully_shard`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.distributed._composable_state import _module_state_mapping
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from giblet.errors import ConfigError


@contextmanager
def sharded(step: nn.Module, units: Sequence[nn.Module], device: str, world: int) -> Iterator[None]:
    """Within this block every rank holds its part of a step's weights; behind it each holds all, as plain tensors.

    `units` are gathered one at a time, when all ranks pass through them, the rest for the whole of a step.

    Raises
    ------
    ConfigError
        If a weight is a single number.
    """
    if single := [name for name, weight in step.named_parameters() if weight.ndim == 0]:
        raise ConfigError(f"train.parallel=fsdp cannot spread {single[0]}, which is one number; use ddp")
    before = {m: (m.__class__, _shallow(m)) for m in step.modules()}
    mesh = init_device_mesh(device, (world,))
    for module in (*units, step):
        fully_shard(module, mesh=mesh)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*returned a view tensor", UserWarning)  # nothing here writes into one
        yield
    gathered: dict[int, nn.Parameter] = {}  # what two modules share stays shared
    for module, (kind, attributes) in before.items():
        _module_state_mapping.pop(module, None)  # torch shards a module once, and remembers; a refit shards it again
        found = dict(module._parameters)
        module.__class__ = kind
        module.__dict__.clear()
        module.__dict__.update(attributes)
        for name, weight in found.items():
            module._parameters[name] = None if weight is None else gathered.setdefault(id(weight), _plain(weight))


def _shallow(module: nn.Module) -> dict[str, Any]:
    """A module's attributes and hooks, without its weights, which are not kept twice."""
    attributes = {k: copy.copy(v) if isinstance(v, dict) else v for k, v in module.__dict__.items()}
    return attributes | {"_parameters": dict.fromkeys(module._parameters)}


def _plain(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(whole(weight.detach()).clone(), requires_grad=weight.requires_grad)


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which this rank may hold a part alone."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def let_go(step: nn.Module) -> None:
    """After a pass without gradients, give back what it gathered."""
    for module in step.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
