"""S3D's weights: fetched by name, or read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from giblet import WeightsError
from torch import nn

from giblet_video_s3d.architecture import FrozenStatistics, s3d_features

PREFIX = "features."
"""How torchvision's state dict names what is not the classifier."""


def load(weights: str) -> nn.Module:
    """S3D features with the weights of Kinetics-400 or of a file, a state dict of torchvision's `s3d`.

    Raises
    ------
    WeightsError
        If they cannot be had, or are not those of S3D.
    """
    net = s3d_features(1.0, FrozenStatistics)
    try:
        net.load_state_dict(
            {k.removeprefix(PREFIX): v for k, v in _state(weights).items() if k.startswith(PREFIX) and _is_used(k)}
        )
    except Exception as error:  # whatever a download or a foreign file raises
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise WeightsError(
            f"S3D weights {weights!r} cannot be had: {reason}; give weights=kinetics400 (needs the network), "
            "the path of torchvision's s3d state dict, or weights=none to train from random"
        ) from None
    return net


def _state(weights: str) -> Any:
    if weights == "kinetics400":
        from torchvision.models.video import S3D_Weights

        return S3D_Weights.KINETICS400_V1.get_state_dict(progress=False, check_hash=True)
    return torch.load(Path(weights).expanduser(), map_location="cpu", weights_only=True)


def _is_used(key: str) -> bool:
    return not key.endswith("num_batches_tracked")
