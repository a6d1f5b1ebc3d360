"""S3D without its classifier, at any width, as an encoder of TRs."""

from __future__ import annotations

import torch
from giblet import ConfigError
from giblet.nn import ClipEncoder, CoarseEncoder
from torch import Tensor, nn

from giblet_video_s3d.architecture import CODE, Size, grouped, s3d_features, scaled
from giblet_video_s3d.weights import load

LEAST: Size = (5, 17, 17)
"""Frames, rows and columns below which nothing is left after five halvings of space and three of time."""
MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
"""The colours that torchvision's Kinetics-400 weights were trained on."""


class FullEncoder(ClipEncoder):
    """[n, F, H, W, 3], [n, F] -> [n, D]: S3D features pooled over time and space.

    Without weights, group normalisation takes the place of batch normalisation and all of it is trained; with
    weights, the batch statistics are those of Kinetics and never move.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size_KHW: Size, width: int, weights: str, *, finetune: bool, scale: float = 1.0) -> None:
        if any(n < least for n, least in zip(size_KHW, LEAST, strict=True)):
            k, h, w = size_KHW
            raise ConfigError(
                f"the full S3D needs at least 5 frames of 17x17, not {k} of {w}x{h}; use net=light, or keep more "
                "(frames_per_tr, net_frames, width_px, height_px)"
            )
        super().__init__(size_KHW, width)
        self.trained = weights == "none" or finetune
        self.features = s3d_features(scale, grouped) if weights == "none" else load(weights)
        self.features.requires_grad_(self.trained)
        code = scaled(CODE, scale)
        self.dense = nn.Sequential(nn.LayerNorm(code), nn.Linear(code, self.learned))
        self.coarse = CoarseEncoder(self.learned)
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)

    def see(self, clip: Tensor, there: Tensor) -> Tensor:
        """[n, K, 3, h, w], [n, K] -> [n, learned]."""
        seen = ((clip - self.mean) / self.std).transpose(1, 2)
        with torch.set_grad_enabled(self.trained and torch.is_grad_enabled()):
            pooled = self.features(seen).mean((2, 3, 4))
        return self.dense(pooled)
