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
from giblet.pipeline.reconstruct import WRITTEN, stretch

SOUND_HZ = 48_000
"""A rate at which AAC's blocks are shorter than a frame, so that sound and picture end together."""
PANELS = ("original", "predicted", "measured")
SIDE_BY_SIDE = "side_by_side.mp4"
Sound = NDArray[np.float32]
Heard = tuple[Sound | None, str]
"""A sound, or none and the reason."""


def screen(study: Study, inputs: Inputs, n: ModalityNets, reader: Reader, folder: Path) -> dict[str, Any]:
    """What metrics.json adds of a film: `retrieval`, and `sound`, which sound each film was given, and why none.

    Puts sound into the films of `folder/video/`, by `evaluate.film_sound`, and writes `folder/side_by_side.mp4`.
    Nothing where the features are no pictures or cannot be played.
    """
    if not (inputs.modalities[n.name].can_reconstruct() and are_pictures(n.spec.shape)):
        return {}
    return {"retrieval": retrieval(n, reader), "sound": finish_films(study, inputs, reader.config.evaluate, folder)}


def finish_films(study: Study, inputs: Inputs, config: EvaluateConfig, folder: Path) -> dict[str, str]:
    """Sound and the side-by-side film, where films are mp4; which sound each got, and why there is none (`note`)."""
    films = {v: folder / "video" / f"{v}.mp4" for v in ("original", *WRITTEN)}
    if not all(path.is_file() for path in films.values()):
        return {}
    heard, why = (None, "") if config.film_sound == "none" else original_sound(study, inputs, config.reconstruct_s)
    given = {v: _add_sound(path, v, heard, folder / "audio", config.film_sound) for v, path in films.items()}
    side_by_side({v: films[v] for v in PANELS}, folder / SIDE_BY_SIDE, heard, SOUND_HZ)
    return given | {"side_by_side": "none" if heard is None else "original"} | ({"note": why} if why else {})


def _add_sound(film: Path, version: str, heard: Sound | None, made: Path, wanted: str) -> str:
    """Give a film its sound, and say which: reconstructed, original or none."""
    files = sorted(made.glob(f"{version}.*")) if wanted == "reconstructed" and version != "original" else []
    own = read_all(files[0])[0] if files else None
    sound = heard if own is None else own
    if sound is None:
        return "none"
    mux_sound(film, sound, SOUND_HZ, film)
    return "original" if own is None else "reconstructed"


def original_sound(study: Study, inputs: Inputs, seconds: float) -> Heard:
    """The sound [n, C] at 48 kHz of the stretch that is reconstructed, or why there is none."""
    i, block = stretch(inputs, seconds)
    grid, run = inputs.timelines[i].grid, inputs.timelines[i].run
    stimulus = next(r.stimulus for r in presentations(study, inputs.modalities) if r.name == run)
    path = stimulus.files.get("audio", stimulus.files.get("video"))
    if path is None:
        return None, f"{stimulus.name} has neither film nor sound"
    start_s, stop_s = (grid.start_s + k * grid.tr_s for k in (block.start, block.stop))
    return read_all(path, stimulus.streams.get("audio"), start_s, stop_s)


def read_all(
    path: Path, stream: str | None = None, start_s: Fraction = Fraction(0), stop_s: Fraction | None = None
) -> Heard:
    """All sound from `start_s` on, in one or two channels, silence where it begins later, [n, C] at 48 kHz.

    Or why there is none: no such stream, nothing in that stretch, or a file that is no sound. A film without sound is
    still worth watching.
    """
    try:
        stereo = min(2, _channels(path, stream))
        chunks = list(read_sound(path, SOUND_HZ, stream, stereo, max(start_s, Fraction(0)), stop_s))
    except DataError as error:
        return None, str(error)
    late = max(0, int(chunks[0].ticks[0]) - round(start_s * SOUND_HZ))
    return np.concatenate([np.zeros((late, stereo), np.float32), *(c.values for c in chunks)]), ""


def _channels(path: Path, stream: str | None) -> int:
    """How many channels the stream has that is read; one where it does not say, or is not there."""
    chosen = (s for s in audio_streams(path) if (s.default if stream is None else str(s.index) == stream))
    return next((s.channels or 1 for s in chosen), 1)
