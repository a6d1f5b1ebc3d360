"""Exact TR arithmetic: binning native frames, undoing it, resampling and hemodynamic response functions."""

from giblet.alignment.binning import bin_events, bin_features, bin_frames, resample, unbin
from giblet.alignment.cleaning import clean, cosine_drift, scale_train
from giblet.alignment.grid import overlap, tr_index
from giblet.alignment.hrf import canonical_hrf, convolve_hrf
from giblet.alignment.spread import bin_spread

__all__ = [
    "bin_events",
    "bin_features",
    "bin_frames",
    "bin_spread",
    "canonical_hrf",
    "clean",
    "convolve_hrf",
    "cosine_drift",
    "overlap",
    "resample",
    "scale_train",
    "tr_index",
    "unbin",
]
