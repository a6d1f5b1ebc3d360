"""How much of a picture is striped, by scale and orientation, as neurons of early visual cortex tell."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CYCLES = (11.0, 5.5, 2.75)
"""Stripes to a picture's height, scale by scale."""
ORIENTATIONS = 4
BANDWIDTH = 0.75
"""The share of its frequency at which a filter has fallen to exp(-1/2): an octave lies between its half heights."""
ANGLE_RAD = np.pi / ORIENTATIONS / 2
"""SD of a filter in orientation."""
MARGIN = 1.7
"""Periods of the coarsest stripes by which a picture is continued: three SD of its filter's envelope."""


def oriented_energy(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Energy of pictures [F, h, w] at three scales of four orientations each, [F, 12, h, w], in squared units of luma.

    Squared envelopes of log-Gabor filters (Field 1987, doi:10.1364/JOSAA.4.002379), which are quadrature pairs, the
    finest scale and vertical stripes first. Encoding models of vision begin with such energies (Kay et al. 2008,
    doi:10.1038/nature06713). Beyond its border a picture goes on as its mirror image.
    """
    from scipy.fft import fft2, ifft2

    height, width = luma.shape[1:]
    margin = int(np.ceil(MARGIN * height / min(CYCLES)))
    filters = _filters(height, width, margin)
    centred = luma - luma.mean((1, 2), keepdims=True)
    spectrum = fft2(
        np.pad(centred, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric"), s=filters.shape[1:]
    )
    found = ifft2(spectrum[:, None] * filters)[..., margin : margin + height, margin : margin + width]
    return np.asarray(np.square(np.abs(found)), np.float32)


@lru_cache(maxsize=4)
def _filters(height: int, width: int, margin: int) -> NDArray[np.float32]:
    """The filters [12, h', w'] over the frequencies of pictures that are continued by a margin on every side."""
    from scipy.fft import fftfreq, next_fast_len

    down, across = (fftfreq(next_fast_len(n + 2 * margin)) * height for n in (height, width))
    cycles, angle = np.hypot(down[:, None], across), np.arctan2(down[:, None], across)
    cycles[0, 0] = 1.0
    made = []
    for centre in CYCLES:
        scale = np.exp(-(np.log(cycles / centre) ** 2) / (2 * np.log(BANDWIDTH) ** 2))
        scale[0, 0] = 0.0
        for k in range(ORIENTATIONS):
            off = np.angle(np.exp(1j * (angle - np.pi * k / ORIENTATIONS)))
            made.append(2 * scale * np.exp(-(off**2) / (2 * ANGLE_RAD**2)))
    filters = np.stack(made).astype(np.float32)
    filters.setflags(write=False)
    return filters
