"""Does a reconstruction move as the original does? Optical flow of both, correlated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.video.pixels import Frames, require_alike
from giblet.types import Float

WIDEST_PX = 80
"""Wider frames are shrunk to this width before their flow is computed: compression noise goes, and most of the time."""
STILL_PX = 0.05
"""Root mean square flow, in pixels a frame at that width, below which a clip holds no motion that could be followed."""
FARNEBACK: dict[str, Any] = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}
"""The values of OpenCV's own example."""


def motion_coherence(original: Frames, made: Frames) -> float | None:
    """Correlation of the optical flow of two clips [F, H, W, 3], over all pixels and pairs of neighbouring frames.

    With flow u of the original and v of the other, sum(u . v) / sqrt(sum(u . u) sum(v . v)): the correlation about
    stillness, since a clip that moves one way everywhere has a mean flow that must count. So 1 is the same motion, also
    where it is faster or slower throughout, 0 unrelated motion or none, -1 the reverse. Pixels that are still in the
    original add nothing above the line; motion that is made up there lowers the score. None where the original does not
    move (root mean square below `STILL_PX`) or has fewer than two frames. Both clips must be of one shot: see
    `find_cuts`.

    Raises
    ------
    DataError
        If the shapes differ or are not those of clips.
    """
    require_alike(original, made)
    return flow_correlation(optical_flow(original), optical_flow(made))


def flow_correlation(u: Float, v: Float) -> float | None:
    """`motion_coherence` of flows [pairs, H, W, 2]."""
    uu, vv, uv = (float(np.vdot(a, b)) for a, b in ((u, u), (v, v), (u, v)))
    if not len(u) or uu < STILL_PX**2 * u.size / 2:
        return None
    return uv / np.sqrt(uu * vv) if vv > 0 else 0.0


def optical_flow(frames: Frames) -> NDArray[np.float32]:
    """Dense flow of neighbouring frames, [F, H, W, 3] -> [F - 1, h, w, 2], in pixels at a width of at most 80.

    Polynomial expansion (Farneback 2003, doi:10.1007/3-540-45103-X_50) of luma, by OpenCV.
    """
    import cv2

    grey = [_small_luma(f) for f in frames]
    flows = np.zeros((len(grey) - 1, *grey[0].shape, 2), np.float32)
    for flow, before, after in zip(flows, grey[:-1], grey[1:], strict=True):
        if not np.array_equal(before, after):  # of a frozen picture the method makes a little noise
            flow[:] = cv2.calcOpticalFlowFarneback(before, after, None, **FARNEBACK)
    return flows


def _small_luma(frame: Frames) -> NDArray[np.uint8]:
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= WIDEST_PX:
        return np.asarray(grey)
    size = (WIDEST_PX, max(1, round(height * WIDEST_PX / width)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
