"""Still frames of several films at the same moments, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from giblet.report.figures import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNT = 6
WIDTH = 320
Frame = NDArray[np.uint8]


def moments(path: Path, count: int = COUNT) -> list[float]:
    """Times in seconds from the film's start, spread evenly over its length, its ends left out."""
    from giblet.media import video_streams

    length = float(next(s for s in video_streams(path) if s.default).duration_s or 0)
    return [length * (k + 0.5) / count for k in range(count)]


def frames_at(path: Path, times_s: Sequence[float]) -> list[Frame]:
    """The frame `[H, W, 3]` on screen at each time after the film's first; the last one where the film is shorter."""
    from giblet.media import read_frames, video_streams

    info = next(s for s in video_streams(path) if s.default)
    width = min(WIDTH, info.width or WIDTH)
    height = max(1, round(width * (info.height or width) / (info.width or width)))
    found: list[Frame] = []
    shown: Frame | None = None
    first: float | None = None
    for chunk in read_frames(path, width, height, chunk_bytes=8 << 20):
        for onset, frame in zip(chunk.onset_s, chunk.values, strict=True):
            first = onset if first is None else first
            while len(found) < len(times_s) and shown is not None and onset - first > times_s[len(found)]:
                found.append(shown)
            shown = frame.copy()
    assert shown is not None
    return found + [shown] * (len(times_s) - len(found))


@styled
def strip(rows: Mapping[str, Sequence[Frame]], times_s: Sequence[float]) -> Figure:
    """Films as rows, moments as columns."""
    height, width = next(iter(rows.values()))[0].shape[:2]
    each = 7.0 / len(times_s)
    fig = new_figure(7.6, (each * height / width + 0.06) * len(rows) + 0.3)
    axes = fig.subplots(len(rows), len(times_s), squeeze=False)
    for line, (name, frames) in zip(axes, rows.items(), strict=True):
        for ax, frame in zip(line, frames, strict=True):
            ax.imshow(frame, aspect="auto")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name, fontsize=8)
    for ax, time in zip(axes[0], times_s, strict=True):
        ax.set_title(f"{time:.1f} s", fontsize=8)
    return fig


def png(frame: Frame) -> bytes:
    """A frame as a PNG."""
    import io

    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, frame, format="png")
    return buffer.getvalue()
