"""Film, seen by a two-dimensional convolutional net on each kept frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from giblet import Aligned, ConfigError, Features, FeatureSpec, Modality, Source, hookimpl
from giblet.types import Array, Temporal
from giblet.video import Channels, VideoModality
from pydantic import model_validator

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAINED_PX = 224
"""Side of the pictures that ResNet-50 was trained on."""
PICTURE_NETS = ("channels", "net_frames", "net_width", "net_height")
"""Settings that only the nets of pictures read."""


class Video2DCNN(VideoModality):
    """Convolutions of 32, 64, 128 and 256 channels, 3x3 with stride 2, on each kept frame; a mirrored decoder.

    By default the nets see 12 frames a TR at 80x45 and what they make is resized to all frames at 160x90;
    `net_frames=0 net_width=0 net_height=0` shows them everything (10x6x256 at 160x90).

    `features="resnet50"` takes 2,048 frozen features a frame (He et al. 2016, doi:10.1109/CVPR.2016.90) in place of
    pictures: the film predicts scans, but nothing can be played back.
    """

    name = "video_2dcnn"
    net_settings: ClassVar[frozenset[str]] = VideoModality.net_settings | {"channels", "temporal"}

    channels: Channels = (32, 64, 128, 256)
    temporal: Temporal = "own"
    """What pools the frames: mean, drift and mean change (own), or a module of the core."""
    features: Literal["frames", "resnet50"] = "frames"
    """What is read of a frame: its picture, or 2,048 features of ResNet-50 (encoding only; seen at 224x224)."""
    weights: str = "none"
    """Of ResNet-50: `imagenet` (fetched by torchvision), or the path of torchvision's state dict."""

    @model_validator(mode="before")
    @classmethod
    def _size_of_resnet(cls, values: dict[str, Any]) -> dict[str, Any]:
        own = {"width_px": TRAINED_PX, "height_px": TRAINED_PX} if values.get("features") == "resnet50" else {}
        return own | values

    @model_validator(mode="after")
    def _weights_have_a_net(self) -> Self:
        if self.features == "frames" and self.weights != "none":
            raise ValueError(f"weights={self.weights!r} belong to ResNet-50; add features=resnet50 or leave them out")
        if self.features == "resnet50" and self.weights == "none":
            raise ValueError(
                "ResNet-50 without weights sees nothing; give weights=imagenet (needs the network), weights=PATH of "
                "torchvision's resnet50 state dict, or features=frames, which needs none"
            )
        return self

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        changed = [k for k in PICTURE_NETS if getattr(self, k) != type(self).model_fields[k].default]
        if self.features == "resnet50" and changed:
            raise ValueError(
                f"{', '.join(changed)}: no effect on features=resnet50; leave out, or give features=frames"
            )
        return self

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Features depend on what the file of weights holds, so its hash belongs to what they are stored under."""
        if self.features == "frames":
            return self
        from giblet_video_2dcnn.resnet import fingerprint

        return self.fitted(weights=fingerprint(self.weights))

    def extract(self, source: Source) -> Iterator[Features]:
        """Frames at their own rate and times, uint8 [N, H, W, 3], or their features, float32 [N, 2048].

        Raises
        ------
        WeightsError
            If the weights asked for cannot be had.
        """
        if self.features == "frames":
            yield from super().extract(source)
            return
        from giblet_video_2dcnn.resnet import load, seen

        net = load(self.weights)
        for chunk in super().extract(source):
            yield chunk.with_values(seen(net, chunk.values))

    def spec(self, aligned: Aligned) -> FeatureSpec:
        """Pictures, or numbers without a unit."""
        spec = super().spec(aligned)
        return spec if self.features == "frames" else replace(spec, unit="a.u.")

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Frames of a TR to its code."""
        if self.features == "resnet50":
            from giblet.nn import FrameEncoder

            return FrameEncoder(spec, width, temporal=self.temporal)
        from giblet_video_2dcnn.nets import Encoder

        return Encoder(self.net_size(spec), self.channels, width, self.temporal, spec.tr_s)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """A code to all frames of its TR, [n, F, H, W, 3] in 0..255, or to their features, [n, F, 2048]."""
        if self.features == "resnet50":
            return Modality.decode(self, spec, width)
        from giblet_video_2dcnn.nets import Decoder

        return Decoder(self.net_size(spec), self.channels, width, self.out_size(spec))

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error of pixels in units of the full range, or of features, [n, F]."""
        if self.features == "resnet50":
            return Modality.loss(self, prediction, target)
        return super().loss(prediction, target)

    def summary(self, aligned: Aligned) -> Array:
        """Of frames as of any film; of features their mean and SD."""
        return Modality.summary(self, aligned) if self.features == "resnet50" else super().summary(aligned)

    @property
    def how(self) -> str:
        """That features of ResNet-50 cannot be played."""
        return "" if self.features == "frames" else "features of ResNet-50: encoding only, nothing can be played back"

    def can_reconstruct(self) -> bool:
        """Pictures can be played; features of ResNet-50 only encode."""
        return self.features == "frames"

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write the frames as an mp4 at their mean rate.

        Raises
        ------
        ConfigError
            If the features are those of ResNet-50.
        """
        if self.features == "resnet50":
            raise ConfigError(f"{self.name}: {self.how}; {out.name} needs features=frames")
        return super().reconstruct(features, out)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """What this plugin offers."""
    return [Video2DCNN]
