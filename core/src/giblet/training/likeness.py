"""Learning what TRs of a film are like, for scans in closed form and for reading them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Codes, placed
from giblet.model.encoding import ANCHORS, FEATURES, Likeness, Likenesses
from giblet.training.small_matrices import FAINT, evenly, leading

WIDTH = 16.0
"""Two TRs of the mean squared distance are alike by exp(-1 / WIDTH): what is made of them bends a little. Narrower ones
(4) were better by 0.001 in r on demo worlds and worse by 0.03 on the scans of 27 people who heard a story."""


def fit_likeness(
    likeness: Likenesses, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label], width: float = WIDTH
) -> None:
    """Learn from the TRs of some blocks what TRs are like, modality by modality.

    What nets read and plain features have the same variance in all: the first keeps what most varies, the second holds
    what little varies, too.
    """
    places = [(i, t.trs(*labels)) for i, t in enumerate(timelines)]
    for name, like in likeness.items():
        assert isinstance(like, Likeness)
        for buffer in (like.get_buffer("anchors"), like.get_buffer("basis"), like.get_buffer("offset")):
            buffer.zero_()
        kept = [(i, trs[codes.present[i][name][trs]]) for i, trs in places]
        parts = [np.concatenate([table[i][name][trs] for i, trs in kept]) for table in (codes.inputs, codes.summaries)]
        if len(parts[0]) > 1:
            scale = np.concatenate([np.full(part.shape[1], _to_one(part)) for part in parts])
            rows = np.concatenate(parts, 1) * scale
            _fill(like, "scale", scale)
            _fit(like, rows[evenly(len(rows), ANCHORS)], width)


def likened(likeness: Likenesses, codes: Codes, run: int) -> dict[str, Tensor]:
    """What the TRs of a run are like, modality by modality, [T, F]."""
    h, plain, present = (
        {n: placed(x, likeness) for n, x in table[run].items()}
        for table in (codes.inputs, codes.summaries, codes.present)
    )
    found: dict[str, Tensor] = likeness(h, plain, present)
    return found


def _to_one(rows: NDArray[np.float32]) -> float:
    """What gives rows [n, P] a variance of 1 in all; 0 where nothing varies."""
    x = rows.astype(np.float64)
    variance = float(x.var(0).sum())
    return variance**-0.5 if variance > FAINT * float(np.square(x).mean()) else 0.0


def _fit(like: Likeness, x: NDArray[np.float64], times: float) -> None:
    """The leading components of the centred kernel of some rows [n, P]; in all, features have a mean square of 1."""
    n = len(x)
    apart = (np.square(x).sum(1)[:, None] + np.square(x).sum(1) - 2 * x @ x.T).clip(0)
    width = times * float(apart.sum()) / (n * (n - 1))
    if not width:
        return  # nothing varies
    near, centre = np.exp(-apart / width), np.eye(n) - 1 / n
    values, axes = leading(centre @ near @ centre, FEATURES)
    basis = centre @ (axes / np.sqrt(values)) * np.sqrt(n / values.sum())
    _fill(like, "anchors", x)
    _fill(like, "basis", basis)
    _fill(like, "offset", -near.mean(0) @ basis)
    like.get_buffer("width").fill_(width)


def _fill(like: Likeness, name: str, value: NDArray[np.float64]) -> None:
    """Put values at the beginning of a buffer."""
    buffer = like.get_buffer(name)
    buffer[tuple(slice(0, n) for n in value.shape)] = torch.from_numpy(value).to(buffer)
