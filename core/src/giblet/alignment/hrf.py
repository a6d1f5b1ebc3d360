"""Causal canonical hemodynamic responses, sampled where BOLD is sampled."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from giblet.errors import ConfigError

OVERSAMPLING = 50
HRF_SLACK_S = 2.0  # people's responses peak this much earlier or later than the canonical one
HRFModel = Literal["glover", "spm"]


def canonical_hrf(
    tr_s: float,
    length_s: float = 32.0,
    model: HRFModel = "glover",
    *,
    phase: tuple[float, float] = (0.0, 1.0),
    slice_time_ref: float = 0.5,
    stretch: float = 1.0,
) -> NDArray[np.float64]:
    """How much each lag of stimulus contributes to a BOLD sample, [L]; lag 0 is the sample's own TR.

    The stimulus is constant within `phase`, a part of its TR (all of it by default), and BOLD is read `slice_time_ref`
    of a TR after the TR began; tap l integrates the response over that part, l TRs back. The response itself has unit
    area over `length_s` seconds; it is nilearn's (Glover 1999, doi:10.1006/nimg.1998.0419, or SPM's double gamma),
    oversampled 50 times, and `stretch` times as slow: it peaks so many times later, and is as much wider. What of it is
    later than `length_s` then is cut off.

    Raises
    ------
    ConfigError
        If the model is not one of those named, or the stretch not above 0.
    """
    if model not in ("glover", "spm"):
        raise ConfigError(f"no HRF {model!r}; choose glover or spm")
    if not 0 < stretch < np.inf:
        raise ConfigError(f"stretch must be a number above 0, not {stretch}")
    area = _area(tr_s, length_s, model)
    times = np.linspace(0.0, length_s * stretch, len(area))
    lag = np.arange(int(np.ceil(length_s / tr_s)) + 1) + slice_time_ref
    after, before = (np.interp((lag - edge) * tr_s, times, area, left=0.0) for edge in phase)
    return np.asarray((after - before) / (phase[1] - phase[0]))


@lru_cache(maxsize=64)
def _area(tr_s: float, length_s: float, model: HRFModel) -> NDArray[np.float64]:
    """How much of a response has gone by, at evenly spaced times from 0 to its end."""
    from nilearn.glm.first_level import glover_hrf, spm_hrf

    response = {"glover": glover_hrf, "spm": spm_hrf}[model]
    fine = np.asarray(response(t_r=tr_s, oversampling=OVERSAMPLING, time_length=length_s, onset=0.0), np.float64)
    area = np.concatenate([[0.0], np.cumsum(fine / fine.sum())])
    area.flags.writeable = False
    return area


def convolve_hrf(x: NDArray[np.floating], hrf: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convolve [T, P] causally with taps [L]: y[t] = sum_l hrf[l] x[t - l], what is before the run counting as zero."""
    from scipy.signal import fftconvolve

    return np.asarray(fftconvolve(np.asarray(x, np.float64), np.asarray(hrf)[:, None], axes=0)[: len(x)])
