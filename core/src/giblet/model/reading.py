"""Using a trained model: from codes to predicted scans, and from scans, measured or predicted, back to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.model.autoencoder import Autoencoder, ModalityNets

Matrix = NDArray[np.float32]
Scans = list[dict[str, Matrix]]


@dataclass(frozen=True, slots=True)
class Codes:
    """Per run and modality: `inputs` [T, P] for the trunk, `targets` [T, W] for the way back, `present` [T].

    `summaries` [T, P'] are the plain features for the linear baselines; `centre` and `scale` [W] turn targets back into
    what the modality's decoder reads.
    """

    inputs: list[dict[str, Matrix]]
    targets: list[dict[str, Matrix]]
    summaries: list[dict[str, Matrix]]
    present: list[dict[str, NDArray[np.bool_]]]
    centre: dict[str, Matrix]
    scale: dict[str, Matrix]

    @classmethod
    def empty(cls, runs: int) -> Codes:
        """Tables to be filled, one a run."""
        inputs, targets, summaries = ([dict[str, Matrix]() for _ in range(runs)] for _ in range(3))
        return cls(inputs, targets, summaries, [{} for _ in range(runs)], {}, {})


def drives(model: Autoencoder, codes: Codes, timeline: int) -> Tensor:
    """What the heads read over a whole run, [T, D * K]; the stimulus is known throughout."""
    h = {n: torch.from_numpy(x).unsqueeze(0) for n, x in codes.inputs[timeline].items()}
    present = {n: torch.from_numpy(x).unsqueeze(0) for n, x in codes.present[timeline].items()}
    model.eval()
    with torch.no_grad():
        return model.drive(h, present)[0]


def predict_scans(model: Autoencoder, codes: Codes, timelines: Sequence[Timeline]) -> Scans:
    """Predicted BOLD of every run and person, [T, V] each."""
    with torch.no_grad():
        every = [drives(model, codes, i).unsqueeze(0) for i in range(len(timelines))]
        return [{s: model.brain(d, k)[0].numpy() for k, s in enumerate(model.subjects)} for d in every]


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


def read_block(model: Autoencoder, y: Matrix, valid: NDArray[np.bool_], subject: str) -> Tensor:
    """The latent ẑ [T, D] of one block of one person's scan, [T, V]; nothing outside the block is read."""
    with torch.no_grad():
        return model.read(torch.from_numpy(y)[None], torch.from_numpy(valid)[None], model.subjects.index(subject))[0]


def decode_code(nets: ModalityNets, codes: Codes, h: Tensor) -> Tensor:
    """A scaled code [n, W] to features [n, F, *S] in their own unit."""
    return nets.decoder(h * torch.from_numpy(codes.scale[nets.name]) + torch.from_numpy(codes.centre[nets.name]))
