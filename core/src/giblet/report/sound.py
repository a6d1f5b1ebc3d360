"""Pictures of sounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from giblet.report.figures import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE_HZ = 16000
WINDOW = 512
COLUMNS = 600
RANGE_DB = 80.0
Levels = NDArray[np.float64]


def levels(path: Path) -> tuple[Levels, float]:
    """Power in dB `[frequency, time]` up to 8 kHz (32 ms Hann windows), and the sound's length in seconds."""
    from giblet.media import read_sound

    samples = np.concatenate([c.values[:, 0] for c in read_sound(path, RATE_HZ)])
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    starts = np.arange(0, len(padded) - WINDOW + 1, WINDOW // 2)
    groups = np.array_split(starts, min(COLUMNS, len(starts)))
    window = np.hanning(WINDOW)
    power = [(np.abs(np.fft.rfft(padded[g[:, None] + np.arange(WINDOW)] * window)) ** 2).mean(0) for g in groups]
    return 10 * np.log10(np.stack(power, axis=1) + 1e-12), len(samples) / RATE_HZ


@styled
def spectrogram(db: Levels, length_s: float, top_db: float) -> Figure:
    """Time against frequency; black is `RANGE_DB` below the top."""
    fig = new_figure(4.4, 1.9)
    ax = fig.add_subplot()
    extent = (0, length_s, 0, RATE_HZ / 2000)
    ax.imshow(db, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top_db - RANGE_DB, vmax=top_db)
    ax.set_xlabel("s")
    ax.set_ylabel("kHz")
    return fig
