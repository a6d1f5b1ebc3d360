"""Using a trained model: from codes to predicted scans, and from scans, measured or predicted, back to features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.model.autoencoder import ModalityNets
from giblet.model.ensemble import Model
from giblet.model.projection import Projection

Matrix = NDArray[np.float32]
Scans = list[dict[str, Matrix]]


@dataclass(frozen=True, slots=True)
class Codes:
    """Per run and modality: `inputs` [T, P] for the trunk, `targets` [T, W'] for the way back, `present` [T].

    `summaries` [T, P'] are the plain features for the linear baselines; `projections` are what made all of them, and
    turn targets back into what the modality's decoder reads. A target is the code and, behind it, the plain features:
    of sound, for one, scans keep power and modulation, which a code holds only in the phase of every wave.
    """

    inputs: list[dict[str, Matrix]]
    targets: list[dict[str, Matrix]]
    summaries: list[dict[str, Matrix]]
    present: list[dict[str, NDArray[np.bool_]]]
    projections: dict[str, Projection]

    @classmethod
    def empty(cls, runs: int, projections: Mapping[str, Projection] | None = None) -> Codes:
        """Tables to be filled, one a run."""
        inputs, targets, summaries = ([dict[str, Matrix]() for _ in range(runs)] for _ in range(3))
        return cls(inputs, targets, summaries, [{} for _ in range(runs)], dict(projections or {}))

    def put(self, run: int, name: str, code: Matrix, summary: Matrix | None, present: NDArray[np.bool_]) -> None:
        """Project a run's code [T, W] and summary [T, S]; rows that are not present are 0."""
        made = self.projections[name].apply(code, summary)
        for table, rows in zip((self.inputs, self.targets, self.summaries), made, strict=True):
            table[run][name] = rows * present[:, None]
        self.present[run][name] = present

    def absent(self, run: int, name: str, n_trs: int) -> None:
        """A run without this modality: zeros, present nowhere."""
        projection = self.projections[name]
        self.inputs[run][name] = np.zeros((n_trs, projection.outputs), np.float32)
        self.targets[run][name] = np.zeros((n_trs, projection.back), np.float32)
        self.summaries[run][name] = np.zeros((n_trs, projection.plain_outputs), np.float32)
        self.present[run][name] = np.zeros(n_trs, bool)


def run_drive(model: Model, codes: Codes, run: int, without: Collection[str] = ()) -> Tensor:
    """What hemodynamics make of a whole run, [T, D * K]; the stimulus is known throughout, `without` are left out."""
    h = {n: torch.from_numpy(x).unsqueeze(0) for n, x in codes.inputs[run].items()}
    present = {n: torch.from_numpy(x & (n not in without)).unsqueeze(0) for n, x in codes.present[run].items()}
    return model.drive(h, present)[0]


def person_drive(model: Model, drive: Tensor, timeline: Timeline, subject: int) -> Tensor:
    """What one person's head reads of a run, [T, D * K]: in their own time, without drifts and their confounds."""
    return cleaned(model.late(drive.unsqueeze(0), subject)[0], timeline, model.subjects[subject])


def cleaned(x: Tensor, timeline: Timeline, subject: str) -> Tensor:
    """Take out of x [T, D] what cleaning took out of a person's BOLD in each block; between blocks x stays as it is.

    BOLD without drifts and confounds is predicted by features without theirs.
    """
    out = x.clone()
    for (start, stop), matrix in timeline.cleaning.items():
        out[start:stop] = torch.from_numpy(matrix) @ x[start:stop]
    for (start, stop), basis in timeline.confounds.get(subject, {}).items():
        v = torch.from_numpy(basis)
        out[start:stop] = out[start:stop] - v @ (v.T @ out[start:stop])
    return out


def predict_scans(model: Model, codes: Codes, timelines: Sequence[Timeline]) -> Scans:
    """Predicted BOLD of every run and person, [T, V] each."""
    model.eval()
    with torch.no_grad():
        return [_predict_run(model, run_drive(model, codes, i), t) for i, t in enumerate(timelines)]


def _predict_run(model: Model, drive: Tensor, timeline: Timeline) -> dict[str, Matrix]:
    each = {s: person_drive(model, drive, timeline, k).unsqueeze(0) for k, s in enumerate(model.subjects)}
    return {s: model.brain(d, k)[0].numpy() for k, (s, d) in enumerate(each.items())}


def add_residuals(
    timelines: Sequence[Timeline], predicted: Scans, timeline: int, subject: str, rng: np.random.Generator
) -> Matrix:
    """A run's prediction [T, V] plus training residuals of the same person, in one stretch that begins at random."""
    pool = []
    for i, t in enumerate(timelines):
        if subject in t.scans:
            trs = t.trs("train")
            trs = trs[t.scanned[subject][trs]]
            pool.append(t.scans[subject][trs] - predicted[i][subject][trs])
    residuals = np.concatenate(pool)
    base = predicted[timeline][subject]
    return base + residuals[(np.arange(len(base)) + int(rng.integers(len(residuals)))) % len(residuals)]


def read_block(model: Model, y: Matrix, valid: NDArray[np.bool_], subject: str) -> Tensor:
    """The latent ẑ [T, D] of one block of one person's scan, [T, V]; nothing outside the block is read."""
    with torch.no_grad():
        return model.read(torch.from_numpy(y)[None], torch.from_numpy(valid)[None], model.subjects.index(subject))[0]


def decode_code(nets: ModalityNets, codes: Codes, h: Tensor) -> Tensor:
    """A scaled code [n, W], plain features behind it or not, to features [n, F, *S] in their own unit."""
    p = codes.projections[nets.name]
    h = h[..., : p.width]
    scale, centre = (torch.from_numpy(a.astype(np.float32)) for a in (p.scale, p.centre))
    return nets.decoder(h * scale + centre)
