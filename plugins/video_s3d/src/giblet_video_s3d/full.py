"""torchvision's S3D without its classifier; the only place where torchvision is imported."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Self

import torch
from giblet import ConfigError, WeightsError
from giblet.nn import clip_statistics, to_clip
from torch import Tensor, nn

CODE = 1024
MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
"""The colours that torchvision's Kinetics-400 weights were trained on."""


class FullEncoder(nn.Module):
    """[n, F, H, W, 3], [n, F] -> [n, D]: S3D features pooled over time and space, and `clip_statistics`.

    Without weights, group normalisation takes the place of batch normalisation and all of it is trained; with
    weights, the batch statistics are those of Kinetics and never move.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size_KHW: tuple[int, int, int], width: int, weights: str, *, finetune: bool) -> None:
        super().__init__()
        if size_KHW[0] < 5 or min(size_KHW[1:]) < 17:
            k, h, w = size_KHW
            raise ConfigError(f"the full S3D needs at least 5 frames of 17x17, not {k} of {w}x{h}; use net=light")
        self.size_KHW, self.measured = size_KHW, min(15, width // 2)
        self.trained = weights == "none" or finetune
        self.features = _group_normed(s3d().features) if weights == "none" else load(weights)
        self.features.requires_grad_(self.trained)
        self.dense = nn.Sequential(nn.LayerNorm(CODE), nn.Linear(CODE, width - self.measured))
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Batch statistics stay frozen in training too."""
        super().train(mode)
        for module in self.features.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, H, W, 3], [n, F] -> [n, D]."""
        clip = to_clip(x, mask, *self.size_KHW)
        seen = ((clip - self.mean) / self.std).transpose(1, 2)
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            pooled = self.features(seen).mean((2, 3, 4))
        return torch.cat([clip_statistics(clip)[:, : self.measured], self.dense(pooled)], 1)


def s3d(weights: Any = None) -> Any:
    """Torchvision's S3D."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")
        from torchvision.models.video import s3d as build

        return build(weights=weights)


def load(weights: str) -> nn.Module:
    """S3D features with the weights of Kinetics-400 or of a file.

    Raises
    ------
    WeightsError
        If they cannot be had, or are not those of S3D.
    """
    try:
        if weights == "kinetics400":
            return s3d("KINETICS400_V1").features
        net = s3d()
        net.load_state_dict(torch.load(Path(weights), map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a download or a foreign file raises
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise WeightsError(
            f"S3D weights {weights!r} cannot be had: {reason}; give weights=kinetics400 (needs the network), "
            "the path of torchvision's s3d state dict, or weights=none to train from random"
        ) from None
    return net.features


def _group_normed(module: nn.Module) -> nn.Module:
    """The same net with group normalisation in place of batch normalisation, which fails at small batches."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            setattr(module, name, nn.GroupNorm(8, child.num_features))
        else:
            _group_normed(child)
    return module
