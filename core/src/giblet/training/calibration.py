"""What scans of the validation blocks are read back to, before it is shrunk: for stopping, and for shrinking."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from giblet.data.dataset import Timeline
from giblet.model import Autoencoder, Codes, read_block
from giblet.model.shrinkage import best_multiple, calibrated_loss

Pairs = dict[str, tuple[Tensor, Tensor]]


def read_back(model: Autoencoder, codes: Codes, timelines: Sequence[Timeline], names: Sequence[str]) -> Pairs:
    """Unshrunk codes from everybody's measured scans in the validation blocks, and the true ones, [n, W'] each."""
    empty = {name: torch.zeros(0, codes.projections[name].back) for name in names}
    guesses, targets = ({name: [rows] for name, rows in empty.items()} for _ in range(2))
    places = [(i, run, block) for i, run in enumerate(timelines) for block in run.of("validation")]
    for i, run, block in places:
        for s, y in run.scans.items():
            z = read_block(model, y[block.trs], run.scanned[s][block.trs], s)
            with torch.no_grad():
                guess = model.outputs(z)
            for name in names:
                there = torch.from_numpy(codes.present[i][name][block.trs])
                guesses[name].append(guess[name].cpu()[there])
                targets[name].append(torch.from_numpy(codes.targets[i][name][block.trs])[there])
    return {name: (torch.cat(guesses[name]), torch.cat(targets[name])) for name in names}


def calibrated_losses(pairs: Pairs, codes: Codes) -> dict[str, float]:
    """Relative loss of each modality at the best multiple of each of its parts, the mean over parts: at most 1."""
    return {
        name: sum(calibrated_loss(guess[:, c], target[:, c]) for c in parts) / len(parts)
        for name, (guess, target) in pairs.items()
        for parts in [codes.projections[name].parts]
    }


def shrink(model: Autoencoder, pairs: Pairs, codes: Codes) -> None:
    """Let the model shrink each part of what it reads to its best multiple."""
    for name, (guess, target) in pairs.items():
        for c in codes.projections[name].parts:
            model.shrinkage.put(name, c, best_multiple(guess[:, c], target[:, c]))
