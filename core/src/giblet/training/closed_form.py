"""Scans in closed form beside a net: what validation says of both, and the fit that goes by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Autoencoder, Codes, Scans, placed
from giblet.model.shrinkage import products
from giblet.training.encoding import EncodingFit
from giblet.training.evidence import Real
from giblet.training.patterns import put_patterns
from giblet.training.stacking import stacked
from giblet.types import Progress, silent

OWN = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""How much variance weights have from person to person, as a multiple of what people share; validation chooses."""
STRETCH_S = 6.0
"""What lies so far apart says something of its own: a response is past its peak, and noise has mostly changed."""


class Choice(NamedTuple):
    """What validation blocks said: how much of a voxel is a person's own, and what net and closed form count."""

    own: float
    net: float
    closed: float


def fit_encoding(
    model: Autoencoder,
    codes: Codes,
    timelines: Sequence[Timeline],
    labels: Sequence[Label],
    choice: Choice,
    progress: Progress = silent,
) -> None:
    """Fit scans to codes in closed form on some blocks, and let the model predict by that and its net."""
    fit = EncodingFit(model, codes, timelines, labels)
    put_patterns(fit, choice.own, progress)
    fit.encoding.put("counts", torch.tensor([choice.net, choice.closed]))


def choose(
    model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], predicted: Scans, progress: Progress = silent
) -> Choice:
    """Fit scans on training blocks, and see on validation blocks what to make of that beside the net's `predicted`.

    The model then predicts by both, as far as training blocks teach it.
    """
    fit = EncodingFit(model, codes, timelines, ("train",))
    own = OWN[int(_errors(fit).argmin())]
    put_patterns(fit, own, progress)
    choice = Choice(own, *_counts(fit, predicted))
    fit.encoding.put("counts", torch.tensor([choice.net, choice.closed]))
    return choice


def _errors(fit: EncodingFit) -> Real:
    """What is left of some voxels of everybody's validation blocks, by how much is a person's own."""
    errors = np.zeros(len(OWN))
    for group in fit.groups:
        for k, weights_of in fit.weights(group, group.some) if len(group.people) > 1 else ():
            judged = [
                (fit.designs.in_run(i, k)[trs].reshape(len(trs), -1), y[trs][:, group.some])
                for i, trs, y in fit.designs.measured(k, "validation")
            ]
            for j, own in enumerate(OWN):
                weights = weights_of(own)
                errors[j] += sum(np.square(design @ weights - y, dtype=np.float64).sum() for design, y in judged)
    return errors


def _counts(fit: EncodingFit, predicted: Scans) -> tuple[float, float]:
    """What net and closed form count on validation blocks, which are cut into stretches as long as a response.

    What says nothing counts nothing; the net counts all where the closed form says nothing, or nothing was measured.
    """
    found: dict[tuple[int, int], NDArray[np.float64]] = {}
    for k, subject in enumerate(fit.designs.subjects):
        for run, trs, y in fit.designs.measured(k, "validation"):
            design = torch.from_numpy(fit.designs.in_run(run, k)[trs]).flatten(1)
            closed = fit.encoding(placed(design, fit.encoding), k).cpu()
            net = torch.from_numpy(predicted[run][subject][trs])
            stretches = (trs * fit.encoding.tr_s // STRETCH_S).astype(int)
            for stretch, *rows in zip(stretches.tolist(), net, closed, torch.from_numpy(y[trs]), strict=True):
                found[run, stretch] = found.get((run, stretch), 0.0) + products(*rows).numpy()
    parts = np.stack(list(found.values())) if found else np.zeros((0, 5))
    net_says, closed_says = (bool(parts[:, k].any()) for k in (0, 1))
    if not closed_says:
        return 1.0, 0.0
    net_counts, closed_counts = stacked(parts)
    return (net_counts if net_says else 0.0), closed_counts
