"""From features to what a film writer needs."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from giblet.types import Array, Features


def film_pictures(features: Features) -> tuple[Iterator[Array], Fraction]:
    """Pictures [H, W, 3] uint8 one by one (from floats 0..1 too), and their mean rate in Hz.

    The mean, because a container that keeps time in milliseconds has no two steps alike at 24 frames a second. Each
    picture is the frame that is nearest in time: every frame once at a constant rate, and at a variable one as many,
    some twice and some not at all, so that the film stays in step with its sound.
    """
    n = len(features.ticks) - 1
    span_s = int(features.ticks[-1] - features.ticks[0]) * features.timebase if n > 0 else Fraction(0)
    rate_hz = (n / span_s).limit_denominator(1001) if span_s else Fraction(25)
    onset_s = features.onset_s - features.onset_s[0]
    nearest = np.searchsorted((onset_s[1:] + onset_s[:-1]) / 2, np.arange(n + 1) / float(rate_hz), side="right")
    return (_bytes(np.asarray(features.values[i])) for i in nearest), rate_hz


def _bytes(picture: Array) -> Array:
    return picture if picture.dtype == np.uint8 else np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
