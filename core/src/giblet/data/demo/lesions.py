"""Which regions an oracle needs in order to read a process from test scans, and where the process is."""

from __future__ import annotations

from typing import Any

import numpy as np

from giblet.data.demo.atlas import NETWORKS, make_atlas
from giblet.data.demo.brain import Person
from giblet.data.demo.cleaning import clean_blocks
from giblet.data.demo.decoding import MODALITY
from giblet.data.demo.schedule import TEST, TEST_RUN, Float64


def lesion_table(people: list[Person]) -> dict[str, Any]:
    """What each region's loss costs a linear reader, where the power is, and what suffers first.

    The reader knows everybody's noiseless scans and the SD of each voxel's noise, and reads all people's scans at once.
    A region that a process shares with others holds more of it than anybody can read there (`power`), for what the
    others cause is in the way however many people are averaged.
    """
    network, names = make_atlas().of_voxel(), list(NETWORKS)
    sd = [clean_blocks(p.noise).std((0, 1)) for p in people]
    signal, scan = (
        np.stack([clean_blocks(x) / s for x, s in zip(each, sd, strict=True)], 2)
        for each in ([p.signal for p in people], [p.bold for p in people])
    )
    effect: dict[str, dict[str, float]] = {name: {} for name in names}
    power: dict[str, dict[str, float]] = {name: {} for name in names}
    for process, modality in MODALITY.items():
        part = np.stack([clean_blocks(p.parts[process]) / s for p, s in zip(people, sd, strict=True)], 2)
        size = np.square(part).sum((0, 1, 2))
        losses = reader_losses(scan, signal, part, [network == name for name in names])
        for name, loss in zip(names, losses, strict=True):
            effect[name][modality] = loss
            power[name][modality] = float(size[network == name].sum() / size.sum())
    first = {name: max(costs, key=lambda m: costs[m]) for name, costs in effect.items() if name in names[:3]}
    return {"effect": effect, "power": power, "first": first}


def reader_losses(scan: Float64, signal: Float64, part: Float64, regions: list[np.ndarray]) -> list[float]:
    """What the loss of each region [V] adds to the relative squared error of `part`, read from test scans.

    All are [R, T, S, V], in SD of each voxel's noise, and cleaned: `signal` is what scans hold beside noise, `part`
    what one process causes. The reader is linear, and the best where noise is independent. In place of a lesioned
    region it sees another moment, each person's own: what they would have said is missing, what they say now is wrong.
    """
    known, target = (x.reshape(-1, *x.shape[2:]) for x in (signal, part))
    shown, truth = scan[TEST_RUN, TEST], part[TEST_RUN, TEST]
    alike = np.tensordot(known, known, ([1, 2], [1, 2]))
    weights = np.linalg.solve(alike + len(known) * np.eye(len(known)), target.reshape(len(known), -1))

    def read(where: np.ndarray) -> Float64:
        """What these voxels [V] of each person say of the part, [S, T, S, V]."""
        like = np.einsum("tsv,nsv->stn", shown[..., where], known[..., where], optimize=True)
        return np.asarray((like @ weights).reshape(-1, *truth.shape))

    error, size = read(np.ones(scan.shape[-1], bool)).sum(0) - truth, np.square(truth).sum()
    lost = [np.square(error - x.sum(0)).sum() + np.square(x).sum() for x in map(read, regions)]
    return [float((loss - np.square(error).sum()) / size) for loss in lost]
