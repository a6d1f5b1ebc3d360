"""Activations that are computed again in the backward pass, in the place of being kept."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


def through(module: Callable[..., Any], *inputs: Any, again: bool) -> Any:
    """What a network makes of its inputs; where `again`, none of its activations are kept (Chen et al. 2016,
    arXiv:1604.06174): a step takes about a third longer, and the memory of the largest layer is enough.
    """
    if not again:
        return module(*inputs)
    context = copy_context()  # the second pass drops what the first one dropped
    return checkpoint(partial(context.run, module), *inputs, use_reentrant=False)
