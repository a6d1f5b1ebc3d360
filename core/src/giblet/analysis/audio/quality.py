"""All scores of a reconstructed sound, piece by piece; what cannot be computed has a reason, not a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from giblet.analysis.audio.spectrum import mel_correlation
from giblet.analysis.audio.speech import NARROW_HZ, WIDE_HZ, pesq_nb, pesq_wb, stoi
from giblet.analysis.audio.waveform import envelope_correlation, rhythm_correlation, si_sdr, snr
from giblet.analysis.scores import Real
from giblet.errors import DataError
from giblet.media import audio_streams, read_sound
from giblet.types import Features, Float, Int

PIECE_S = 10.0
"""No piece is longer: PESQ was made for 8 to 12 s (ITU-T P.862.3), and memory does not grow with the sound."""
Metric = Callable[[Float, Float, int], float]
Scores = dict[str, float | None]
Reasons = dict[str, str]

ANY_SOUND: dict[str, Metric] = {
    "snr_db": lambda x, y, rate_hz: snr(x, y),
    "si_sdr_db": lambda x, y, rate_hz: si_sdr(x, y),
    "mel_r": mel_correlation,
    "envelope_r": envelope_correlation,
}
WHOLE: dict[str, Metric] = {"rhythm_r": rhythm_correlation}
"""Of the whole sound: a rhythm that lasts for seconds hardly changes within a piece."""
SPEECH: dict[int, dict[str, Metric]] = {
    WIDE_HZ: {"pesq_wb": pesq_wb, "stoi": stoi},
    NARROW_HZ: {"pesq_nb": pesq_nb, "stoi": stoi},
}


def score_sounds(original: Float, made: Float, rate_hz: int) -> tuple[Scores, Reasons]:
    """Score a sound [N] at 16 or 8 kHz against the original: mean and SD over pieces, and why some have none.

    By metric: its mean over the pieces that have one, `..._sd` their SD (None for one piece). `n_pieces` is how many
    pieces there are, all of one length. A piece in which the original is silent has no score; one in which only the
    reconstruction is has the score of silence, so that no version gains by it. `rhythm_r` is of the whole sound.

    Raises
    ------
    DataError
        If the shapes differ, or the rate is another.
    """
    if rate_hz not in SPEECH:
        raise DataError(f"sounds are scored at {' or '.join(map(str, SPEECH))} Hz, not {rate_hz}; resample them")
    if original.shape != made.shape:
        raise DataError(f"cannot compare sounds of shapes {original.shape} and {made.shape}; cut them to one length")
    pairs = [(original[p], made[p]) for p in pieces_of(len(original), rate_hz)]
    scores: Scores = {"n_pieces": len(pairs)}
    reasons: Reasons = {}
    for name, metric in (ANY_SOUND | SPEECH[rate_hz]).items():
        found = [_attempt(metric, x, y, rate_hz) for x, y in pairs]
        known = [f for f in found if isinstance(f, float)]
        scores[name] = float(np.mean(known)) if known else None
        scores[f"{name}_sd"] = float(np.std(known, ddof=1)) if len(known) > 1 else None
        if len(known) < len(found):
            reasons[name] = _told([f for f in found if isinstance(f, str)], len(found))
    for name, metric in WHOLE.items():
        whole = _attempt(metric, original, made, rate_hz)
        scores[name] = whole if isinstance(whole, float) else None
        if isinstance(whole, str):
            reasons[name] = whole
    return scores, reasons


def pieces_of(n: int, rate_hz: int) -> list[slice]:
    """Consecutive pieces of n samples, as few as can be, of one length but for a sample."""
    edges = np.linspace(0, n, max(1, ceil(n / (PIECE_S * rate_hz))) + 1).round().astype(int)
    return [slice(a, b) for a, b in pairwise(edges)]


def _attempt(metric: Metric, original: Float, made: Float, rate_hz: int) -> float | str:
    """The score, or why there is none."""
    try:
        return metric(original, made, rate_hz)
    except DataError as error:
        return str(error)


def _told(reasons: Sequence[str], n: int) -> str:
    """`the original is silent (2 of 6 pieces)`, one after the other."""
    return "; ".join(f"{r} ({reasons.count(r)} of {n} pieces)" for r in dict.fromkeys(reasons))


def compare(versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int) -> dict[str, Any]:
    """Scores of each file against `original` as they are played: mono, cut to the shortest.

    At 16 kHz, or at 8 kHz where a file's own rate is lower (`scored_hz`). `permuted` has no file: it is what is heard
    of `measured`, shifted in a circle by half of the TRs, as many as `counts` [T] has entries. To shift TRs and then
    make sound of them differs at the seams only. `unscored` says by version why a metric has no score, or not in all
    pieces.
    """
    rate_hz = _played_hz(files.values())
    played = {v: _played(path, rate_hz) for v, path in files.items()}
    n = min(map(len, played.values()))
    sounds = {v: x[:n] for v, x in played.items()}
    if "permuted" in versions:
        sounds["permuted"] = np.roll(sounds["measured"], round(n * (len(counts) // 2) / len(counts)))
    original = sounds.pop("original")
    found = {v: score_sounds(original, x, rate_hz) for v, x in sounds.items()}
    unscored = {v: reasons for v, (_, reasons) in found.items() if reasons}
    return {v: scores for v, (scores, _) in found.items()} | {"unscored": unscored, "scored_hz": rate_hz}


def _played_hz(files: Iterable[Path]) -> int:
    rates = [stream.sample_rate_hz for path in files for stream in audio_streams(path)[:1]]
    return WIDE_HZ if all(r is None or r >= WIDE_HZ for r in rates) else NARROW_HZ


def _played(path: Path, rate_hz: int) -> Real:
    return np.concatenate([chunk.values[:, 0] for chunk in read_sound(path, rate_hz)]).astype(np.float64)
