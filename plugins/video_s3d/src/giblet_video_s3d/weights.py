"""S3D's weights, without those of its classifier."""

from __future__ import annotations

from collections.abc import Mapping

from giblet.nn import PublishedWeights
from torch import Tensor, nn

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
    WEIGHTS.load(net, weights, _features)
    return net


def _features(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX) and _is_used(k)}


def _is_used(key: str) -> bool:
    return not key.endswith("num_batches_tracked")


def _kinetics() -> Mapping[str, Tensor]:
    from torchvision.models.video import S3D_Weights

    return S3D_Weights.KINETICS400_V1.get_state_dict(progress=False, check_hash=True)


WEIGHTS = PublishedWeights(
    "S3D",
    "kinetics400",
    _kinetics,
    "give weights=kinetics400 (needs the network), the path of torchvision's s3d state dict or a name of it (giblet "
    "weights add NAME PATH), or weights=none to train from random",
)
