"""Frames in, frames out: all of a modality of film but its nets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from giblet.modality import Modality
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, TRGrid

if TYPE_CHECKING:
    from torch import Tensor, nn

Size = tuple[int, int, int]


def _not_one(n: int) -> int:
    if n == 1:
        raise ValueError("one frame has no motion; give 0 for all frames, or at least 2")
    return n


Frames = Annotated[int, Field(ge=0), AfterValidator(_not_one)]
"""A number of frames a TR, 0 for all of them; never 1."""


Channels = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
"""Channels after each convolution, at least one of them."""


class VideoModality(Modality):
    """A film as frames, uint8 [N, H, W, 3], at their own times; a plugin adds `name`, `encode` and `decode`.

    The frames are `width_px` x `height_px` on disk and in what is reconstructed. The nets see `net_frames` of a TR at
    `net_width` x `net_height`, 0 being the film's own.
    """

    kind = "video"
    unit = "level"
    round_trip = 0.1
    net_settings: ClassVar[frozenset[str]] = frozenset({"frames_per_tr", "net_frames", "net_width", "net_height"})

    width_px: Annotated[int, Field(ge=16)] = 160
    height_px: Annotated[int, Field(ge=16)] = 90
    frames_per_tr: Frames = 0
    """Frames of a TR that are kept, evenly spaced in time (0: all); what is reconstructed has as many."""
    net_frames: Frames = 12
    """Frames of a TR, of those that are kept, that the nets see and make; 0: all."""
    net_width: Annotated[int, Field(ge=0)] = 80
    net_height: Annotated[int, Field(ge=0)] = 45

    @abstractmethod
    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Build the encoder: `forward(x [n, F, H, W, 3], mask [n, F]) -> [n, width]`."""

    @abstractmethod
    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Build the decoder: `forward(h [n, width]) -> [n, F, H, W, 3]` in 0..255; in training, what `loss` takes."""

    def extract(self, source: Source) -> Iterator[Features]:
        """Frames at their own rate and times, uint8 [N, H, W, 3]."""
        from giblet.media import read_frames

        yield from read_frames(source.path, self.width_px, self.height_px, source.stream, source.start_s, source.stop_s)

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """Each frame in the TR that its presentation time falls in; of each TR, `frames_per_tr` of them."""
        from giblet.alignment import bin_frames, bin_spread

        return bin_spread(features, grid, self.frames_per_tr) if self.frames_per_tr else bin_frames(features, grid)

    def net_size(self, spec: FeatureSpec) -> Size:
        """Frames, height and width of the clip that the nets see; a 0 in the settings takes the film's own."""
        own = (max(2, spec.frames), *self.out_size(spec)[1:])
        frames, height, width = (
            n or all_ for n, all_ in zip((self.net_frames, self.net_height, self.net_width), own, strict=True)
        )
        return frames, height, width

    def out_size(self, spec: FeatureSpec) -> Size:
        """Frames, height and width of what is reconstructed."""
        return spec.frames, spec.shape[0], spec.shape[1]

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared error of pixels in units of the full range, [n, F]; the prediction may be a clip of fewer pixels."""
        from giblet.nn import frame_loss

        return frame_loss(prediction, target)

    def summary(self, aligned: Aligned) -> Array:
        """Brightness and its change, colour, contrast, orientation and scale: [T, 635] float32."""
        from giblet.video.summary import film_summary

        return film_summary(aligned)

    def summary_groups(self, columns: int) -> Sequence[int]:
        """Maps, colour, the picture as a whole, and maps of orientation; of another summary one group."""
        from giblet.video.summary import GROUPS

        return GROUPS if columns == sum(GROUPS) else [columns]

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write the frames as an mp4 at their mean rate."""
        from giblet.media import write_film
        from giblet.video.pictures import film_pictures

        return write_film(out.with_suffix(".mp4"), *film_pictures(features))
