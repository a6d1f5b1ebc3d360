"""Using a trained model: from codes to predicted scans, and from scans, measured or predicted, back to features."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.data.scratch import on_scratch, parts_of, row_slabs
from giblet.data.split import Block
from giblet.model.autoencoder import ModalityNets
from giblet.model.ensemble import Model
from giblet.model.placing import placed
from giblet.model.projection import Projection
from giblet.types import Int

Matrix = NDArray[np.float32]
Scans = list[dict[str, Matrix]]


@dataclass(frozen=True, slots=True)
class Codes:
    """Per run and modality: `inputs` [T, P] for the trunk, `targets` [T, W'] for the way back, `present` [T].

    `summaries` [T, P'] are the plain features, for closed forms and baselines; `projections` are what made all of them,
    and turn targets back into what the modality's decoder reads. A target is the code and, behind it, the plain
    features: of sound, for one, scans keep power and modulation, which a code holds only in the phase of every wave.
    """

    inputs: list[dict[str, Matrix]]
    targets: list[dict[str, Matrix]]
    summaries: list[dict[str, Matrix]]
    present: list[dict[str, NDArray[np.bool_]]]
    projections: dict[str, Projection]

    @property
    def plain_sizes(self) -> dict[str, int]:
        """P' of each modality."""
        return {name: projection.plain_outputs for name, projection in self.projections.items()}

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
    """What scans of a whole run are predicted from, [T, D * K + Q]; all of the stimulus is known but for `without`."""
    h, plain = ({n: placed(x, model)[None] for n, x in table[run].items()} for table in (codes.inputs, codes.summaries))
    present = {n: placed(x & (n not in without), model)[None] for n, x in codes.present[run].items()}
    return model.drive(h, plain, present)[0]


def person_drive(model: Model, drive: Tensor, timeline: Timeline, subject: int) -> Tensor:
    """What one person's scan is made from, [T, D * K + R Q]: in their own time, without drifts and their confounds."""
    return cleaned(model.late(drive.unsqueeze(0), subject)[0], timeline, model.subjects[subject])


def cleaned(x: Tensor, timeline: Timeline, subject: str) -> Tensor:
    """Take out of x [T, D] what cleaning took out of a person's BOLD in each block; between blocks x stays as it is.

    BOLD without drifts and confounds is predicted by features without theirs.
    """
    out = x.clone()
    for rows, c in timeline.cleaned_blocks(subject):
        into, back = (torch.from_numpy(a).to(x.device) for a in (c.into, c.out))
        out[rows] = x[rows] - back @ (into @ x[rows])
    for (start, stop), basis in timeline.confounds.get(subject, {}).items():
        v = torch.from_numpy(basis).to(x.device)
        out[start:stop] = out[start:stop] - v @ (v.T @ out[start:stop])
    return out


def predict_scans(model: Model, codes: Codes, timelines: Sequence[Timeline]) -> Scans:
    """Predicted BOLD of every run and person, [T, V] each: on the disk, and in memory only where it is read."""
    model.eval()
    found: dict[str, list[Matrix]] = {}
    with torch.no_grad():
        drives = [run_drive(model, codes, i) for i in range(len(timelines))]
        for k, s in enumerate(model.subjects):
            mine = (person_drive(model, d, t, k) for d, t in zip(drives, timelines, strict=True))
            made = on_scratch(_brain(model, d[rows], k) for d in mine for rows in _slabs(model, d, k))
            found[s] = parts_of(made, [len(d) for d in drives])
    return [{s: found[s][i] for s in model.subjects} for i in range(len(timelines))]


def predict_block(model: Model, drive: Tensor, timeline: Timeline, subject: str, block: Block) -> Matrix:
    """What `predict_scans` says of a block of a person's scan, [n, V], from the drive of its run; no other is made."""
    k = model.subjects.index(subject)
    with torch.no_grad():
        mine = person_drive(model, drive, timeline, k)
        slabs = [s for s in _slabs(model, mine, k) if s.start < block.stop and s.stop > block.start]
        rows = np.concatenate([_brain(model, mine[s], k) for s in slabs])
    return rows[block.start - slabs[0].start : block.stop - slabs[0].start]


def _slabs(model: Model, drive: Tensor, subject: int) -> list[slice]:
    """Rows of a run that are predicted at once, all where its scan is small; one row tells how many voxels it has."""
    return list(row_slabs(len(drive), model.brain(drive[None, :1], subject).shape[-1]))


def _brain(model: Model, drive: Tensor, subject: int) -> Matrix:
    return model.brain(drive.unsqueeze(0), subject)[0].cpu().numpy()


def residual_places(timelines: Sequence[Timeline], subject: str) -> Int:
    """Run and TR of every training volume of a person, [n, 2]: there, a scan less its prediction is a residual."""
    found = [np.zeros((0, 2), np.int64)]
    for i, t in enumerate(timelines):
        if subject in t.scans:
            trs = t.trs("train")
            trs = trs[t.scanned[subject][trs]]
            found.append(np.stack([np.full(len(trs), i), trs], 1))
    return np.concatenate(found)


def add_residuals(
    timelines: Sequence[Timeline], predicted: Scans, timeline: int, subject: str, start: int, rows: Int
) -> Matrix:
    """Rows of a run's prediction, [L, V], plus training residuals of the same person.

    Those follow each other as in the scan: row 0 of the run gets residual `start`, row 1 the next, round and round.
    """
    places = residual_places(timelines, subject)
    out = predicted[timeline][subject][rows]
    for k, (run, tr) in enumerate(places[(rows + start) % len(places)]):
        out[k] += timelines[run].scans[subject][tr] - predicted[run][subject][tr]
    return out


def read_block(model: Model, y: Matrix, valid: NDArray[np.bool_], subject: str) -> Tensor:
    """What is read of one block of one person's scan [T, V], for `rebuild`; nothing outside the block is read."""
    with torch.no_grad():
        return model.read(placed(y, model)[None], placed(valid, model)[None], model.subjects.index(subject))[0]


def decode_code(nets: ModalityNets, codes: Codes, h: Tensor) -> Tensor:
    """A scaled code [n, W], plain features behind it or not, to features [n, F, *S] in their own unit."""
    p = codes.projections[nets.name]
    h = h[..., : p.width]
    scale, centre = (torch.from_numpy(a.astype(np.float32)).to(h.device) for a in (p.scale, p.centre))
    return nets.decoder(h * scale + centre)
