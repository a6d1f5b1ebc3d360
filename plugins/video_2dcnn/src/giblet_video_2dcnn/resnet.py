"""Frozen features of ResNet-50; the only place where torchvision is imported."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from giblet.nn import PublishedWeights
from giblet.types import Array
from giblet.weights import weights_place
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""The colours of ImageNet, which torchvision's weights expect."""
BATCH = 16


def _imagenet() -> Mapping[str, Tensor]:
    from torchvision.models import ResNet50_Weights

    return ResNet50_Weights.IMAGENET1K_V2.get_state_dict(progress=False, check_hash=True)


WEIGHTS = PublishedWeights(
    "ResNet-50",
    "imagenet",
    _imagenet,
    "give weights=imagenet (needs the network), weights=PATH of torchvision's resnet50 state dict or a name of it "
    "(giblet weights add NAME PATH), or features=frames, which needs none",
)


def load(weights: str) -> nn.Module:
    """ResNet-50 up to its pooled features, [n, 3, H, W] -> [n, 2048], in evaluation mode.

    Raises
    ------
    WeightsError
        If the weights cannot be had, or are not those of ResNet-50.
    """
    net = _resnet50()
    WEIGHTS.load(net, weights, kept=lambda state: state)
    net.fc = nn.Identity()
    return net.eval().requires_grad_(False)


def seen(net: nn.Module, frames: Array) -> Array:
    """Features [N, 2048] float32 of frames [N, H, W, 3] uint8."""
    mean, std = (torch.tensor(c)[:, None, None] for c in (MEAN, STD))
    with torch.inference_mode():
        parts = [net((_clip(frames[i : i + BATCH]) - mean) / std) for i in range(0, len(frames), BATCH)]
    return torch.cat(parts).numpy()


def fingerprint(weights: str) -> Array:
    """What tells these weights from others, as bytes: the SHA-256 of a file, or the name of fetched ones.

    Raises
    ------
    WeightsError
        If there is no such file.
    """
    place = weights_place(weights)
    if place == WEIGHTS.name:
        return np.frombuffer(place.encode(), np.uint8)
    try:
        with Path(place).expanduser().open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise WEIGHTS.missing(weights, error) from None
    return np.frombuffer(digest, np.uint8)


def _clip(frames: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float().div(255)


def _resnet50() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")
        from torchvision.models import resnet50

        return resnet50(weights=None)
