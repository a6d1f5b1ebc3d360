"""A few held-out figures of a trained model, enough to compare it with others: no nulls, no ridges, no files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from giblet.analysis.decode import Reader, decoding_losses
from giblet.analysis.joined import join, joined_predictions, joined_scanned, joined_scans, scored_people
from giblet.analysis.scores import pearson
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.model import Scans, predict_scans
from giblet.pipeline.identify import identification
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.trained import Trained
from giblet.training.front_ends import training_parts

BATCH = 32


def scores(inputs: Inputs, trained: Trained, config: RunConfig) -> dict[str, float | None]:
    """Test blocks only: r of predicted scans; of each modality the relative loss of decode(measured scan), how much
    less a clean prediction gives, 2-way identification, and the relative loss of encoder and decoder alone.
    """
    predicted = predict_scans(trained.model, trained.codes, inputs.timelines)
    out: dict[str, float | None] = {"fmri r": held_out_r(inputs.timelines, inputs.subjects, predicted)}
    reader = Reader(trained.model, trained.nets, trained.losses, trained.codes, inputs.timelines, predicted, config)
    losses = decoding_losses(reader)
    for n in (n for n in trained.nets if n.name in losses):
        out[f"{n.name} loss"] = losses[n.name]["measured"]
        out[f"{n.name} 2-way"] = identification(n, reader)["two_way"]
        out[f"{n.name} hidden"] = losses[n.name]["faint"] - losses[n.name]["predicted"]
        if not n.frozen:
            out[f"{n.name} round trip"] = _round_trip(inputs, trained, n.name)
    return out


def held_out_r(timelines: Sequence[Timeline], subjects: Sequence[str], predicted: Scans) -> float:
    """Mean over voxels, and over the people whom a report scores, of r on test TRs."""
    trs = join(timelines).test_trs
    each = []
    for s in scored_people(timelines, subjects):
        guess, y = joined_predictions(predicted, s)[trs], joined_scans(timelines, s)[trs]
        each.append(pearson(guess, y, joined_scanned(timelines, s)[trs]).mean())
    return float(np.mean(each))


def _round_trip(inputs: Inputs, trained: Trained, name: str) -> float:
    """Relative loss on test TRs of the front end's own autoencoder."""
    n = next(n for n in trained.nets if n.name == name)
    per_tr = []
    with torch.no_grad():
        for aligned, trs in training_parts(inputs.timelines, name, "test"):
            for at in range(0, len(trs), BATCH):
                x, mask = (torch.from_numpy(a) for a in aligned.rows(trs[at : at + BATCH], n.spec.frames))
                per_tr += trained.losses[name].per_tr(n.decoder(n.encoder(x, mask)), x, mask).tolist()
    return float(np.mean(per_tr))
