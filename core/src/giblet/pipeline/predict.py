"""An unseen film to everybody's predicted scan, and to that of the average person."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet import stages
from giblet.data.study import Stimulus
from giblet.model import predict_scans
from giblet.pipeline.film import Film, read_film
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.reopen import Reopened
from giblet.pipeline.results import results_folder
from giblet.pipeline.spaces import AVERAGE
from giblet.training import apply_codes
from giblet.types import Features, Progress

MARKER = "prediction.json"
UNIT = "SD of the cleaned training scan"


@dataclass(frozen=True, eq=False)
class PredictedFilm:
    """What a model says that everybody's scan [T, V] of a film is."""

    again: Reopened
    film: Film
    scans: dict[str, NDArray[np.float32]]

    @property
    def notes(self) -> list[str]:
        """What is not as it was when the run was made, and what the film does not hold."""
        return [*self.again.notes, *self.film.notes]


def predicted_scans(again: Reopened, film: Film, progress: Progress) -> dict[str, NDArray[np.float32]]:
    """Predicted BOLD [T, V] of each subject, in SDs of their training scans; and the mean over them, `average`.

    There is a mean only where voxel v is the same place in everybody.
    """
    codes = apply_codes([film.timeline], again.nets, again.modalities, again.projections, progress)
    scans = dict(predict_scans(again.model, codes, [film.timeline])[0])
    if again.blueprint.pooled:
        scans[AVERAGE] = np.mean(list(scans.values()), axis=0)
    return scans


def predict_film(
    again: Reopened, stimulus: Stimulus, progress: Progress, offset_s: Fraction, n_trs: int | None
) -> PredictedFilm:
    """Everybody's predicted scan of a film; nothing is written.

    Raises
    ------
    ConfigError, DataError
        As `read_film`.
    """
    film = read_film(again, stimulus, offset_s, n_trs, progress)
    return PredictedFilm(again, film, predicted_scans(again, film, progress))


def write_prediction(made: PredictedFilm, out: Path, progress: Progress) -> dict[str, Any]:
    """Write everybody's predicted scan of a film, and `prediction.json`, which is returned.

    Raises
    ------
    ConfigError, GibletError
        As `results_folder`.
    """
    with results_folder(out, MARKER) as folder:
        told = _told(made, _write_scans(made, folder, progress))
        RunFolder(folder).write_json(MARKER, told)
    return told


def _write_scans(made: PredictedFilm, folder: Path, progress: Progress) -> dict[str, str]:
    """The name of each person's file."""
    again, tr_s = made.again, made.film.timeline.grid.tr_s
    files = {}
    for done, (who, y) in enumerate(made.scans.items()):
        series = Features.regular(y, 1 / tr_s, subject=who)
        files[who] = stages.reconstruct(again.registry, again.brain, series, folder / f"{who}_predicted").name
        progress("write scans", done + 1, len(made.scans))
    return files


def _told(made: PredictedFilm, files: dict[str, str]) -> dict[str, Any]:
    again, timeline = made.again, made.film.timeline
    return {
        "run": again.run.absolute(),
        "film": timeline.run,
        "tr_s": float(timeline.grid.tr_s),
        "n_trs": timeline.grid.n_trs,
        "offset_s": float(timeline.grid.start_s),
        "modalities": {
            k: {"covered_trs": int(a.valid.sum()), "file": made.film.files[k]} for k, a in timeline.aligned.items()
        },
        "missing": made.film.missing,
        "unit": UNIT,
        "cleaned": bool(timeline.cleaning),
        "files": files,
        "notes": made.notes,
    }
