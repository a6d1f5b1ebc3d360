"""Small films made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from giblet.media import read_frames
from giblet.types import Features

MS = Fraction(1, 1000)
HEIGHT, WIDTH, STEP = 36, 64, 5


def picture(i: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A ramp in each channel; the middle one tells which frame it is."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([3 * x % 250, np.full_like(x, STEP * (i % 50)), 5 * y % 250], axis=-1).astype(np.uint8)


def pictures(n: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> list[np.ndarray]:
    return [picture(i, size) for i in range(n)]


def encode(
    path: Path,
    frames: Sequence[Any],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    set_up: Callable[[Any], None] = lambda stream: None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write RGB arrays, or frames of PyAV as they are, at 25 Hz or at the times given."""
    import av

    ready = [av.VideoFrame.from_ndarray(f, format="rgb24") if isinstance(f, np.ndarray) else f for f in frames]
    with av.open(str(path), "w", options=container or {}) as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = ready[0].width, ready[0].height, pix_fmt
        if times_ms is not None:
            stream.codec_context.time_base = MS
        set_up(stream)
        for i, frame in enumerate(ready):
            frame.pts = i if times_ms is None else times_ms[i]
            frame.time_base = Fraction(1, 25) if times_ms is None else MS
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def whole(path: Path, width: int = WIDTH, height: int = HEIGHT, **cut: Any) -> Features:
    return Features.concat(read_frames(path, width, height, **cut))


def shown(features: Features) -> list[int]:
    """Which frames of `pictures` these are."""
    return [round(float(f[..., 1].mean()) / STEP) for f in features.values]


@pytest.fixture(scope="session")
def films() -> Any:
    """The functions above: tests are imported one by one and cannot import each other."""
    import types

    return types.SimpleNamespace(picture=picture, pictures=pictures, encode=encode, whole=whole, shown=shown)
