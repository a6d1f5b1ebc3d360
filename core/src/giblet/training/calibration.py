"""What scans of the validation blocks are read back to, before it is trusted: for stopping, and for trusting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.model import Autoencoder, Codes, read_block
from giblet.model.shrinkage import best_multiples, calibrated_loss


class ReadBack(NamedTuple):
    """A modality's code as nets read it, as it is read in closed form (0 where it is not), and as it is, [n, W']."""

    learned: Tensor
    closed: Tensor
    target: Tensor


def read_back(
    model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], names: Sequence[str]
) -> dict[str, ReadBack]:
    """What is read from everybody's scans in the validation blocks, at the TRs that were measured, unshrunk."""
    parts: dict[str, list[ReadBack]] = {n: [_nothing(codes.projections[n].back)] for n in names}
    places = [(i, run, block) for i, run in enumerate(timelines) for block in run.of("validation")]
    for i, run, block in places:
        for s, y in run.scans.items():
            measured = run.scanned[s][block.trs]
            z = read_block(model, y[block.trs], measured, s)
            with torch.no_grad():
                learned, closed = model.both_ways(z)
            for name in names:
                there = torch.from_numpy(codes.present[i][name][block.trs] & measured)
                guess = learned[name].cpu()[there]
                other = torch.zeros_like(guess) if closed is None else closed[name].cpu()[there]
                target = torch.from_numpy(codes.targets[i][name][block.trs])[there]
                parts[name].append(ReadBack(guess, other, target))
    return {name: ReadBack(*map(torch.cat, zip(*found, strict=True))) for name, found in parts.items()}


def _nothing(width: int) -> ReadBack:
    return ReadBack(*(torch.zeros(0, width) for _ in range(3)))


def calibrated_losses(found: Mapping[str, ReadBack], codes: Codes) -> dict[str, float]:
    """Relative loss of each modality, as nets read it, at the best multiple of each of its parts, the mean over parts.

    At most 1.
    """
    return {
        name: sum(calibrated_loss(r.learned[:, c], r.target[:, c]) for c in parts) / len(parts)
        for name, r in found.items()
        for parts in [codes.projections[name].parts]
    }


def trust(model: Autoencoder, found: Mapping[str, ReadBack], codes: Codes) -> dict[str, NDArray[np.float64]]:
    """Let the model shrink what nets read to its best share, part by part; gives the closed form's, {name: [W']}."""
    out = {}
    for name, r in found.items():
        learned, closed = np.zeros(r.target.shape[1]), np.zeros(r.target.shape[1])
        for c in codes.projections[name].parts:
            learned[c], closed[c] = best_multiples(r.learned[:, c], r.closed[:, c], r.target[:, c])
        model.shrinkage.put(name, torch.from_numpy(learned))
        out[name] = closed
    return out
