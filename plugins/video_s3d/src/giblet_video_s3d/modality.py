"""Film, seen by separable 3-D convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from giblet import Aligned, Features, FeatureSpec, Modality, Source, hookimpl
from giblet.types import Array, Temporal
from pydantic import AfterValidator, Field, model_validator

if TYPE_CHECKING:
    from torch import Tensor, nn


def _not_one(n: int) -> int:
    if n == 1:
        raise ValueError("one frame has no motion; give 0 for all frames, or at least 2")
    return n


class VideoS3D(Modality):
    """Separable 3-D convolutions (1xkxk, then kx1x1) in and out (Xie 2018, doi:10.1007/978-3-030-01267-0_19).

    `net="light"` is a small net that sees `net_frames` frames at `net_width` x `net_height`. `net="full"` is
    torchvision's S3D without its classifier, which sees whole frames (at least 5 of 17x17), pooled over time and space;
    its `weights` are "none" (random, trained here), "kinetics400" (fetched by torchvision) or the path of a state dict,
    and stay as they are unless `finetune`. The decoder is the same: separable, transposed, all frames of the TR.
    """

    name = "video_s3d"
    kind = "video"
    unit = "level"
    net_settings: ClassVar[frozenset[str]] = frozenset(
        {"net_frames", "net_width", "net_height", "channels", "net", "weights", "finetune", "temporal"}
    )

    width_px: Annotated[int, Field(ge=16)] = 160
    height_px: Annotated[int, Field(ge=16)] = 90
    net_frames: Annotated[int, Field(ge=0), AfterValidator(_not_one)] = 12
    net_width: Annotated[int, Field(ge=0)] = 80
    net_height: Annotated[int, Field(ge=0)] = 45
    channels: tuple[Annotated[int, Field(ge=1)], ...] = (12, 24, 48)
    net: Literal["light", "full"] = "light"
    weights: str = "none"
    finetune: bool = False
    temporal: Temporal = "own"
    """What pools the frames of the light net: time halved twice, then thirds (own), or a module of the core."""

    def extract(self, source: Source) -> Iterator[Features]:
        """Frames at their own rate and times, uint8 [N, H, W, 3]."""
        from giblet.media import read_frames

        yield from read_frames(source.path, self.width_px, self.height_px, source.stream, source.start_s, source.stop_s)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Frames of a TR to its code.

        Raises
        ------
        WeightsError
            If the weights asked for cannot be had.
        ConfigError
            If the frames are too few or too small for the full net.
        """
        from giblet_video_s3d.nets import Encoder

        if self.net == "light":
            return Encoder(self.net_size(spec), self.channels, width, self.temporal, spec.tr_s)
        from giblet_video_s3d.full import FullEncoder

        frames, height, side = self.net_frames or max(2, spec.frames), spec.shape[0], spec.shape[1]
        return FullEncoder((frames, height, side), width, self.weights, finetune=self.finetune)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """A code to all frames of its TR, [n, F, H, W, 3] in 0..255."""
        from giblet_video_s3d.nets import Decoder

        return Decoder(self.net_size(spec), self.channels, width, (spec.frames, spec.shape[0], spec.shape[1]))

    def net_size(self, spec: FeatureSpec) -> tuple[int, int, int]:
        """Frames, height and width of the clip that the nets see; a 0 in the settings takes the film's own."""
        own = (max(2, spec.frames), spec.shape[0], spec.shape[1])
        frames, height, width = (
            n or all_ for n, all_ in zip((self.net_frames, self.net_height, self.net_width), own, strict=True)
        )
        return frames, height, width

    @model_validator(mode="after")
    def _weights_have_a_net(self) -> Self:
        if self.net == "light" and self.weights != "none":
            raise ValueError(f"weights={self.weights!r} belong to the full S3D; add net=full or leave weights out")
        if self.net == "full" and self.temporal != "own":
            raise ValueError(f"temporal={self.temporal!r} needs net=light: the full S3D leaves two moments of a TR")
        return self

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error of pixels in units of the full range, [n, F]."""
        from giblet.nn import frame_loss

        return frame_loss(prediction, target)

    def summary(self, aligned: Aligned) -> Array:
        """Luma at 16x9 (mean, SD), frame-difference energy, colour, contrast: [T, 436] float32."""
        from giblet.nn import film_summary

        return film_summary(aligned)

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write the frames as an mp4 at their mean rate."""
        from giblet.media import write_film
        from giblet.nn import film_pictures

        return write_film(out.with_suffix(".mp4"), *film_pictures(features))


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """What this plugin offers."""
    return [VideoS3D]
