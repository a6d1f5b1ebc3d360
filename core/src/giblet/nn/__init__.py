"""Building blocks for a plugin's encoders and decoders: each maps one TR, `[n, F, *S] <-> [n, D]`."""

from giblet.nn.augment import augmented
from giblet.nn.coarse import CoarseDecoder, CoarseEncoder
from giblet.nn.heads import FrameDecoder, FrameEncoder, MaskedFlatten, UnflattenFrame
from giblet.nn.temporal import FrameAxis, build_temporal, masked_mean
from giblet.nn.video import (
    clip_statistics,
    decoded_frames,
    film_pictures,
    film_summary,
    frame_loss,
    pick_frames,
    stretch,
    to_clip,
    to_frames,
)

__all__ = [
    "CoarseDecoder",
    "CoarseEncoder",
    "FrameAxis",
    "FrameDecoder",
    "FrameEncoder",
    "MaskedFlatten",
    "UnflattenFrame",
    "augmented",
    "build_temporal",
    "clip_statistics",
    "decoded_frames",
    "film_pictures",
    "film_summary",
    "frame_loss",
    "masked_mean",
    "pick_frames",
    "stretch",
    "to_clip",
    "to_frames",
]
