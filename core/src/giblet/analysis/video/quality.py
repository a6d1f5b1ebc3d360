"""Scores of a reconstructed film, TR by TR, those with a cut apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from giblet.analysis.scores import Mask
from giblet.analysis.video.cuts import find_cuts
from giblet.analysis.video.motion import flow_correlation, optical_flow
from giblet.analysis.video.pixels import (
    Frames,
    are_pictures,
    as_pictures,
    frame_correlation,
    psnr,
    require_alike,
    ssim,
)
from giblet.types import Features, Float, Int

AT_CUTS = "_at_cuts"
Scores = dict[str, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class Tr:
    """One TR of the original: its frames [F, H, W, 3] and the flow between neighbours that are of one shot.

    `inside` [F - 1] says which neighbours are.
    """

    frames: Frames
    inside: Mask
    flow: Float

    @property
    def cuts(self) -> bool:
        """Whether a new shot begins between two of its frames."""
        return not self.inside.all()


def compare(
    versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int
) -> Mapping[str, Mapping[str, float | None]]:
    """`compare_films` of each version against the `original`, as features; nothing where these are no pictures."""
    if not are_pictures(versions["original"].values.shape[1:]):
        return {}
    pictures = {v: as_pictures(f) for v, f in versions.items()}
    return compare_films(pictures.pop("original"), pictures, counts)


def compare_films(original: Frames, made: Mapping[str, Frames], counts: Int) -> dict[str, Scores]:
    """Score films [N, H, W, 3] against the original; `counts` [T] is the number of frames of each TR.

    By film: `frame_r`, `psnr_db`, `ssim` and `motion_r` (`motion_coherence`), means over the TRs without a cut of the
    original inside, `n_trs` of them; `n_moving_trs` of these move at all. The same with `_at_cuts` are means over TRs
    that hold a cut; their motion leaves out the pair that the cut divides. None is what no TR allows to compute.

    Raises
    ------
    DataError
        If a film has another shape than the original.
    """
    for frames in made.values():
        require_alike(original, frames)
    places = _places(counts)
    begins = find_cuts(original)
    trs = [_tr(original[p], begins[p]) for p in places]
    return {
        name: _means(trs, [_score(t, frames[p]) for t, p in zip(trs, places, strict=True)])
        for name, frames in made.items()
    }


def _places(counts: Int) -> list[slice]:
    """Where each TR lies that has a frame."""
    stops = np.cumsum(counts)
    return [slice(int(stop - n), int(stop)) for stop, n in zip(stops, counts, strict=True) if n]


def _tr(frames: Frames, begins: Mask) -> Tr:
    inside = ~begins[1:]
    return Tr(frames, inside, optical_flow(frames)[inside])


def _score(tr: Tr, made: Frames) -> Scores:
    return {
        "frame_r": frame_correlation(tr.frames, made),
        "psnr_db": psnr(tr.frames, made),
        "ssim": ssim(tr.frames, made),
        "motion_r": flow_correlation(tr.flow, optical_flow(made)[tr.inside]),
    }


def _means(trs: list[Tr], scores: list[Scores]) -> Scores:
    """Means over TRs without and with a cut."""
    out: Scores = {}
    for suffix, cuts in (("", False), (AT_CUTS, True)):
        chosen = [s for t, s in zip(trs, scores, strict=True) if t.cuts == cuts]
        for name in scores[0]:
            out[name + suffix] = _mean(s[name] for s in chosen)
        out[f"n_trs{suffix}"] = len(chosen)
        out[f"n_moving_trs{suffix}"] = sum(s["motion_r"] is not None for s in chosen)
    return out


def _mean(values: Iterator[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
