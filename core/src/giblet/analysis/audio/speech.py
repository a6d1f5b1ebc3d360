"""Metrics of speech: PESQ and STOI. They were made for one voice; of music and noises they say nothing."""

from __future__ import annotations

import warnings
from typing import Literal

from giblet.analysis.audio.waveform import as_pair, is_silent, require_length
from giblet.errors import DataError
from giblet.types import Float

WIDE_HZ, NARROW_HZ = 16_000, 8_000
"""The only rates that PESQ knows."""
PESQ_LEAST = 0.999
"""Of silence: the lower limit of both mappings (ITU-T P.862.1, P.862.2), which no sound gets below."""
PESQ_LEAST_S = 0.25
STOI_LEAST_S = 0.5
"""30 frames of 25.6 ms at half overlap, 0.397 s, must be left when silent ones are gone; a little more is asked for."""


def pesq_wb(original: Float, made: Float, rate_hz: int) -> float:
    """Wide-band PESQ, 0.999 to 4.64 (ITU-T P.862.2), of sounds [N] at 16 kHz; silence has 0.999.

    Raises
    ------
    DataError
        As `pesq_nb`.
    """
    return _pesq(original, made, rate_hz, "wb", WIDE_HZ)


def pesq_nb(original: Float, made: Float, rate_hz: int) -> float:
    """Narrow-band PESQ, 0.999 to 4.55 (ITU-T P.862, P.862.1), of sounds [N] at 8 kHz; silence has 0.999.

    Raises
    ------
    DataError
        If the rate is another, the original is silent, either sound is not finite, or no utterance is found in either.
    """
    return _pesq(original, made, rate_hz, "nb", NARROW_HZ)


def _pesq(original: Float, made: Float, rate_hz: int, mode: Literal["wb", "nb"], wanted_hz: int) -> float:
    x, y = as_pair(original, made)
    require_length(y, PESQ_LEAST_S, rate_hz)
    if rate_hz != wanted_hz:
        raise DataError(f"this PESQ needs {wanted_hz} Hz, not {rate_hz}")
    try:
        from pesq import PesqError, pesq
    except ImportError:
        raise DataError("pesq is not installed; pip install 'giblet[pesq]' (needs a C compiler)") from None
    try:
        if is_silent(y):
            pesq(wanted_hz, x, x, mode)  # what cannot be scored at all has no score here either
            return PESQ_LEAST
        return float(pesq(wanted_hz, x, y, mode))
    except PesqError as error:
        raise DataError(f"PESQ: {_words(error)}") from None


def _words(error: Exception) -> str:
    """What the C code says, which comes as bytes."""
    said = error.args[0] if error.args else type(error).__name__
    return said.decode() if isinstance(said, bytes) else str(said)


def stoi(original: Float, made: Float, rate_hz: int) -> float:
    """Short-time objective intelligibility, about 0 to 1 (Taal et al. 2011, doi:10.1109/TASL.2011.2114881).

    Silence has 0.

    Raises
    ------
    DataError
        If the original is silent, either sound is not finite, or too little is left without the original's pauses: the
        package gives 0.00001 there.
    """
    from pystoi import stoi as package

    x, y = as_pair(original, made)
    require_length(y, STOI_LEAST_S, rate_hz)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            found = float(package(x, y, rate_hz, extended=False))
        except RuntimeWarning:
            raise DataError("too little sound without the original's pauses") from None
    return 0.0 if is_silent(y) else found
