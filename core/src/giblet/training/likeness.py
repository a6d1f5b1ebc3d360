"""Learning what TRs of a film are like, for scans in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.data.dataset import Timeline
from giblet.data.split import Label
from giblet.model import Codes
from giblet.model.encoding import ANCHORS, FEATURES, Encoding, Likeness
from giblet.training.inversion import one_thread

WIDTH = 2.0
"""Two TRs of the mean squared distance are alike by exp(-1 / WIDTH)."""
FAINT = 1e-6
"""Components below this share of the first one's variance are none: float32 does not tell them from rounding."""


def fit_likeness(encoding: Encoding, codes: Codes, timelines: Sequence[Timeline], labels: Sequence[Label]) -> None:
    """Learn from the TRs of some blocks what TRs are like, modality by modality."""
    places = [(i, t.trs(*labels)) for i, t in enumerate(timelines)]
    for name, like in encoding.likeness.items():
        assert isinstance(like, Likeness)
        rows = np.concatenate([codes.inputs[i][name][trs[codes.present[i][name][trs]]] for i, trs in places])
        if len(rows) > 1:
            _fit(like, rows[np.linspace(0, len(rows) - 1, min(len(rows), ANCHORS)).round().astype(int)])


def _fit(like: Likeness, rows: NDArray[np.float32]) -> None:
    """The leading components of the centred kernel of some rows [n, P]; in all, features have a mean square of 1."""
    n, x = len(rows), rows.astype(np.float64)
    apart = np.square(x).sum(1)[:, None] + np.square(x).sum(1) - 2 * x @ x.T
    width = WIDTH * float(apart.clip(0).sum()) / (n * (n - 1))
    if width <= FAINT * float(np.square(x).mean()):
        return  # nothing varies
    near, centre = np.exp(-apart.clip(0) / width), np.eye(n) - 1 / n
    with one_thread():
        values, axes = (a[..., ::-1][..., :FEATURES] for a in np.linalg.eigh(centre @ near @ centre))
    there = values > FAINT * values[0]
    values, axes = values[there], axes[:, there]
    basis = centre @ (axes / np.sqrt(values)) * np.sqrt(n / values.sum())
    _fill(like, "anchors", x)
    _fill(like, "basis", basis)
    _fill(like, "offset", -near.mean(0) @ basis)
    like.get_buffer("width").fill_(width)


def _fill(like: Likeness, name: str, value: NDArray[np.float64]) -> None:
    """Put values at the beginning of a buffer, and 0 behind them."""
    buffer = like.get_buffer(name)
    buffer.zero_()
    buffer[tuple(slice(0, n) for n in value.shape)] = torch.from_numpy(value).to(buffer)
