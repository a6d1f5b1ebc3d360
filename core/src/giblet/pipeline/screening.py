"""Reconstructed films as they are watched: with their sound, and side by side."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.decode import Reader
from giblet.analysis.video import are_pictures
from giblet.config import EvaluateConfig
from giblet.data.study import Study
from giblet.errors import DataError
from giblet.media import audio_streams, mux_sound, read_sound
from giblet.media.panels import side_by_side
from giblet.model import ModalityNets
from giblet.pipeline.film_clips import retrieval
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.presentations import presentations
from giblet.pipeline.reconstruct import VERSIONS, stretch

SOUND_HZ = 48_000
"""A rate at which AAC's blocks are shorter than a frame, so that sound and picture end together."""
PANELS = {"original": "original", "predicted": "from predicted scan", "measured": "from measured scan"}
SIDE_BY_SIDE = "side_by_side.mp4"
Sound = NDArray[np.float32]


def screen(study: Study, inputs: Inputs, n: ModalityNets, reader: Reader, folder: Path) -> dict[str, Any]:
    """What metrics.json adds of a film: `retrieval`, and `sound`, which sound each film was given.

    Puts sound into the films of `folder/video/`, by `evaluate.film_sound`, and writes `folder/side_by_side.mp4`.
    Nothing where the features are no pictures or cannot be played.
    """
    if not (inputs.modalities[n.name].can_reconstruct() and are_pictures(n.spec.shape)):
        return {}
    return {"retrieval": retrieval(n, reader), "sound": finish_films(study, inputs, reader.config.evaluate, folder)}


def finish_films(study: Study, inputs: Inputs, config: EvaluateConfig, folder: Path) -> dict[str, str]:
    """Sound and the side-by-side film, where films are mp4; which sound each got."""
    films = {v: folder / "video" / f"{v}.mp4" for v in ("original", *VERSIONS)}
    if not all(path.is_file() for path in films.values()):
        return {}
    heard = None if config.film_sound == "none" else original_sound(study, inputs, config.reconstruct_s)
    given = {v: _add_sound(path, v, heard, folder / "audio", config.film_sound) for v, path in films.items()}
    panels = {title: films[v] for v, title in PANELS.items()}
    side_by_side(panels, folder / SIDE_BY_SIDE, heard, SOUND_HZ)
    return given | {"side_by_side": "none" if heard is None else "original"}


def _add_sound(film: Path, version: str, heard: Sound | None, made: Path, wanted: str) -> str:
    """Give a film its sound, and say which: reconstructed, original or none."""
    files = sorted(made.glob(f"{version}.*")) if wanted == "reconstructed" and version != "original" else []
    own = read_all(files[0]) if files else None
    sound = heard if own is None else own
    if sound is None:
        return "none"
    mux_sound(film, sound, SOUND_HZ, film)
    return "original" if own is None else "reconstructed"


def original_sound(study: Study, inputs: Inputs, seconds: float) -> Sound | None:
    """The sound [n, C] at 48 kHz of the stretch that is reconstructed; None where the film has none there."""
    i, block = stretch(inputs, seconds)
    grid, run = inputs.timelines[i].grid, inputs.timelines[i].run
    stimulus = next(r.stimulus for r in presentations(study, inputs.modalities) if r.name == run)
    path = stimulus.files.get("audio", stimulus.files.get("video"))
    if path is None:
        return None
    start_s, stop_s = (grid.start_s + k * grid.tr_s for k in (block.start, block.stop))
    return read_all(path, stimulus.streams.get("audio"), start_s, stop_s)


def read_all(
    path: Path, stream: str | None = None, start_s: Fraction = Fraction(0), stop_s: Fraction | None = None
) -> Sound | None:
    """All sound from `start_s` on, in one or two channels, silence where it begins later, [n, C] at 48 kHz.

    None where there is none: no such stream, nothing in that stretch, or a file that is no sound. A film without sound
    is still worth watching.
    """
    try:
        channels = [s.channels for s in audio_streams(path) if stream in (None, str(s.index))]
        stereo = min(2, channels[0] or 1) if channels else 1
        chunks = list(read_sound(path, SOUND_HZ, stream, stereo, max(start_s, Fraction(0)), stop_s))
    except DataError:
        return None
    late = max(0, int(chunks[0].ticks[0]) - round(start_s * SOUND_HZ))
    return np.concatenate([np.zeros((late, stereo), np.float32), *(c.values for c in chunks)])
