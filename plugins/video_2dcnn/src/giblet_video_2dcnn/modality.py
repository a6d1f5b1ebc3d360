"""Film, seen by a two-dimensional convolutional net on each kept frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from giblet import Aligned, Features, FeatureSpec, Modality, Source, hookimpl
from giblet.types import Array, Temporal
from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    from torch import Tensor, nn


def _not_one(n: int) -> int:
    if n == 1:
        raise ValueError("one frame has no motion; give 0 for all frames, or at least 2")
    return n


class Video2DCNN(Modality):
    """Convolutions of 32, 64, 128 and 256 channels, 3x3 with stride 2, on each kept frame; a mirrored decoder.

    By default the nets see 12 frames a TR at 80x45 and what they make is resized to all frames at 160x90;
    `net_frames=0 net_width=0 net_height=0` shows them everything (10x6x256 at 160x90).
    """

    name = "video_2dcnn"
    kind = "video"
    unit = "level"
    net_settings: ClassVar[frozenset[str]] = frozenset(
        {"net_frames", "net_width", "net_height", "channels", "temporal"}
    )

    width_px: Annotated[int, Field(ge=16)] = 160
    height_px: Annotated[int, Field(ge=16)] = 90
    net_frames: Annotated[int, Field(ge=0), AfterValidator(_not_one)] = 12
    net_width: Annotated[int, Field(ge=0)] = 80
    net_height: Annotated[int, Field(ge=0)] = 45
    channels: tuple[Annotated[int, Field(ge=1)], ...] = (32, 64, 128, 256)
    temporal: Temporal = "own"
    """What pools the frames: mean, drift and mean change (own), or a module of the core."""

    def extract(self, source: Source) -> Iterator[Features]:
        """Frames at their own rate and times, uint8 [N, H, W, 3]."""
        from giblet.media import read_frames

        yield from read_frames(source.path, self.width_px, self.height_px, source.stream, source.start_s, source.stop_s)

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Frames of a TR to its code."""
        from giblet_video_2dcnn.nets import Encoder

        return Encoder(self.net_size(spec), self.channels, width, self.temporal, spec.tr_s)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """A code to all frames of its TR, [n, F, H, W, 3] in 0..255."""
        from giblet_video_2dcnn.nets import Decoder

        return Decoder(self.net_size(spec), self.channels, width, (spec.frames, spec.shape[0], spec.shape[1]))

    def net_size(self, spec: FeatureSpec) -> tuple[int, int, int]:
        """Frames, height and width of the clip that the nets see; a 0 in the settings takes the film's own."""
        own = (max(2, spec.frames), spec.shape[0], spec.shape[1])
        frames, height, width = (
            n or all_ for n, all_ in zip((self.net_frames, self.net_height, self.net_width), own, strict=True)
        )
        return frames, height, width

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
    return [Video2DCNN]
