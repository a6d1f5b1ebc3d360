"""Building blocks for a plugin's encoders and decoders: each maps one TR, `[n, F, *S] <-> [n, D]`."""

from giblet.nn.augment import augmented
from giblet.nn.clip_nets import ClipDecoder, ClipEncoder
from giblet.nn.clips import as_levels, pick_frames, stretch, to_clip, to_frames
from giblet.nn.coarse import CoarseDecoder, CoarseEncoder
from giblet.nn.convolutions import HIDDEN, halves, normalised, spread
from giblet.nn.dropout import Dropout
from giblet.nn.frame_loss import frame_loss
from giblet.nn.heads import FrameDecoder, FrameEncoder, MaskedFlatten, UnflattenFrame
from giblet.nn.measured import MEASURED, clip_statistics
from giblet.nn.pretrained import find_pretrained
from giblet.nn.published import PublishedWeights
from giblet.nn.temporal import FrameAxis, build_temporal, masked_mean

__all__ = [
    "HIDDEN",
    "MEASURED",
    "ClipDecoder",
    "ClipEncoder",
    "CoarseDecoder",
    "CoarseEncoder",
    "Dropout",
    "FrameAxis",
    "FrameDecoder",
    "FrameEncoder",
    "MaskedFlatten",
    "PublishedWeights",
    "UnflattenFrame",
    "as_levels",
    "augmented",
    "build_temporal",
    "clip_statistics",
    "find_pretrained",
    "frame_loss",
    "halves",
    "masked_mean",
    "normalised",
    "pick_frames",
    "spread",
    "stretch",
    "to_clip",
    "to_frames",
]
