"""Where a film cuts from one shot to the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.scores import Real
from giblet.analysis.video.pixels import Frames

LEAST = 15.0
RATIO = 3.0
NEIGHBOURS = 2


def find_cuts(frames: Frames) -> NDArray[np.bool_]:
    """Which frames begin a new shot, [N, H, W, 3] -> [N]; never the first.

    The rule of PySceneDetect's AdaptiveDetector with its values: the mean change of hue, saturation and value from the
    frame before is at least 15 (of 255; hue has 180 steps), and at least 3 times the mean change of the two pairs
    before and the two after. A pan or a fade is no cut; a flash of one frame is two.
    """
    change = _changes(frames)
    cuts = np.zeros(len(frames), bool)
    for k, value in enumerate(change):
        around = np.r_[change[max(k - NEIGHBOURS, 0) : k], change[k + 1 : k + 1 + NEIGHBOURS]]
        usual = around.mean() if len(around) else 0.0
        cuts[k + 1] = value >= LEAST and value >= RATIO * usual
    return cuts


def _changes(frames: Frames) -> Real:
    """Mean absolute change of hue, saturation and value between neighbouring frames, [N - 1]."""
    import cv2

    out = np.zeros(max(len(frames) - 1, 0))
    before = None
    for k, frame in enumerate(frames):
        shown = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV)
        if before is not None:
            out[k - 1] = cv2.absdiff(shown, before).mean()
        before = shown
    return out
