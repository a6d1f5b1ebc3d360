"""Time inside a TR: modules that pool the frames that are there, by name, and a place for each on the way back."""

from giblet.nn.temporal.build import Temporal, build_temporal
from giblet.nn.temporal.clock import TimeCode, time_in_tr
from giblet.nn.temporal.hierarchical import AttentionPool, Hierarchical
from giblet.nn.temporal.multiscale import MultiScale
from giblet.nn.temporal.pooling import FrameAxis, Mean, masked_mean

__all__ = [
    "AttentionPool",
    "FrameAxis",
    "Hierarchical",
    "Mean",
    "MultiScale",
    "Temporal",
    "TimeCode",
    "build_temporal",
    "masked_mean",
    "time_in_tr",
]
