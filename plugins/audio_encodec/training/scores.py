"""How near made sound is to the sound it was made from: STOI, SI-SDR and PESQ, nothing shifted to fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
RATE_HZ, PESQ_RATE_HZ = 24_000, 16_000


def scores(made: Float32, sound: Float32) -> dict[str, float]:
    """STOI, SI-SDR in dB and wide-band PESQ of `made` [n] against `sound` [n], both at 24 kHz.

    STOI: Taal et al. 2011, doi:10.1109/TASL.2011.2114881; PESQ: ITU-T P.862.2; SI-SDR: Le Roux et al. 2019,
    arXiv:1811.02508.
    """
    import soxr
    from pesq import pesq
    from pystoi import stoi

    low_made, low_sound = (soxr.resample(x, RATE_HZ, PESQ_RATE_HZ) for x in (made, sound))
    return {
        "stoi": float(stoi(low_sound, low_made, PESQ_RATE_HZ)),
        "si_sdr_db": si_sdr_db(made, sound),
        "pesq_wb": float(pesq(PESQ_RATE_HZ, low_sound, low_made, "wb")),
    }


def si_sdr_db(made: Float32, sound: Float32) -> float:
    """Energy of the part of `made` [n] along `sound` [n] over the energy of the rest."""
    a, b = made.astype(np.float64) - made.mean(), sound.astype(np.float64) - sound.mean()
    along = (a @ b / (b @ b)) * b
    return float(10 * np.log10((along @ along) / ((a - along) @ (a - along))))
