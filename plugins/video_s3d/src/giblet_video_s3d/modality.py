"""Film, seen by separable 3-D convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from giblet import FeatureSpec, Modality, hookimpl
from giblet.types import Temporal
from giblet.video import Channels, VideoModality
from pydantic import Field, model_validator

if TYPE_CHECKING:
    from torch import nn


class VideoS3D(VideoModality):
    """Separable 3-D convolutions (1xkxk, then kx1x1) in and out (Xie 2018, doi:10.1007/978-3-030-01267-0_19).

    `net="light"` is a small net that sees `net_frames` frames at `net_width` x `net_height`. `net="full"` is S3D
    without its classifier, which sees every kept frame in its own size (at least 5 of 17x17), pooled over time and
    space; its `weights` are "none" (random, trained here), "kinetics400" (fetched by torchvision) or the path of a
    state dict, and stay as they are unless `finetune`. The decoder is the same: separable, transposed, all frames of
    the TR (with `net="full"` as many as were kept unless `net_frames` says otherwise).
    """

    name = "video_s3d"
    net_settings: ClassVar[frozenset[str]] = VideoModality.net_settings | {
        "channels",
        "net",
        "scale",
        "weights",
        "finetune",
        "temporal",
    }

    channels: Channels = (12, 24, 48)
    net: Literal["light", "full"] = "light"
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Channels of the full net as a share of the published ones; weights need 1."""
    weights: str = "none"
    finetune: bool = False
    temporal: Temporal = "own"
    """What pools the frames of the light net: time halved twice, then thirds (own), or a module of the core."""

    @model_validator(mode="before")
    @classmethod
    def _every_frame_of_the_full_net(cls, values: dict[str, Any]) -> dict[str, Any]:
        return ({"net_frames": 0} if values.get("net") == "full" else {}) | values

    @model_validator(mode="after")
    def _settings_have_a_net(self) -> Self:
        if self.net == "light" and self.weights != "none":
            raise ValueError(f"weights={self.weights!r} belong to the full S3D; add net=full or leave weights out")
        if self.net == "light" and self.scale != 1:
            raise ValueError(f"scale={self.scale:g} is of the full S3D; add net=full, or set channels of the light net")
        if self.finetune and self.weights == "none":
            raise ValueError("finetune=True trains given weights on; add net=full weights=kinetics400, or leave it out")
        if self.weights != "none" and self.scale != 1:
            raise ValueError(f"weights are those of scale=1, not of {self.scale:g}; leave out scale or weights")
        if self.net == "full" and self.temporal != "own":
            raise ValueError(f"temporal={self.temporal!r} needs net=light: the full S3D leaves two moments of a TR")
        return self

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Frames of a TR to its code.

        Raises
        ------
        WeightsError
            If the weights asked for cannot be had.
        ConfigError
            If the frames are too few or too small for the full net.
        """
        if self.net == "light":
            from giblet_video_s3d.nets import Encoder

            return Encoder(self.net_size(spec), self.channels, width, self.temporal, spec.tr_s)
        from giblet_video_s3d.full import FullEncoder

        size = (self.net_frames or spec.frames, spec.shape[0], spec.shape[1])
        return FullEncoder(size, width, self.weights, finetune=self.finetune, scale=self.scale)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """A code to all frames of its TR, [n, F, H, W, 3] in 0..255."""
        from giblet_video_s3d.nets import Decoder

        return Decoder(self.net_size(spec), self.channels, width, self.out_size(spec))


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """What this plugin offers."""
    return [VideoS3D]
