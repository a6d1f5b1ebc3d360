"""What the trunk reads: the leading components of each modality's code h and summary, fitted on training TRs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.config import ModelConfig
from giblet.data.dataset import Timeline
from giblet.model import Codes, ModalityNets
from giblet.types import Aligned, Int

Matrix = NDArray[np.float32]


def encode_all(nets: ModalityNets, aligned: Aligned, batch: int = 32) -> Matrix:
    """The code of every TR of a run, [T, W]."""
    nets.encoder.eval()
    out = []
    with torch.no_grad():
        for start in range(0, aligned.grid.n_trs, batch):
            values, mask = aligned.rows(slice(start, start + batch), nets.spec.frames)
            out.append(nets.encoder(torch.from_numpy(values), torch.from_numpy(mask)).numpy())
    return np.concatenate(out).astype(np.float32)


def _stack(rows: Sequence[Matrix], trs: Sequence[Int]) -> NDArray[np.float64]:
    return np.concatenate([r[t] for r, t in zip(rows, trs, strict=True)]).astype(np.float64)


def standardise(rows: Sequence[Matrix], trs: Sequence[Int]) -> tuple[list[Matrix], Matrix, Matrix]:
    """Scale [T, P] of each run by the mean and SD over its training TRs; columns that do not vary become 0."""
    train = _stack(rows, trs)
    centre, sd = train.mean(0), train.std(0)
    scale = np.where(sd > 1e-6 * max(float(sd.max(initial=0)), 1e-12), sd, np.inf)
    return [((r - centre) / scale).astype(np.float32) for r in rows], centre.astype(np.float32), sd.astype(np.float32)


def leading_components(rows: Sequence[Matrix], trs: Sequence[Int], n: int) -> list[Matrix]:
    """Project [T, P] on the first n principal components of the training TRs, keeping their relative sizes."""
    train = _stack(rows, trs)
    _, _, basis = np.linalg.svd(train, full_matrices=False)
    scores = [r @ basis[:n].T for r in rows]
    size = np.sqrt(np.mean(np.square(_stack(scores, trs)))) or 1.0
    return [(s / size).astype(np.float32) for s in scores]


def compute_codes(
    timelines: Sequence[Timeline],
    nets: Sequence[ModalityNets],
    summaries: Mapping[str, Callable[[Aligned], Matrix]],
    config: ModelConfig,
    progress: Callable[[str, int, int], None],
) -> Codes:
    """Encode every run with the trained front ends, join the summaries and keep what varies most.

    Scaling and components are learned on training TRs. With a few hundred of them, a brain cannot be fitted to more
    than a few dozen directions of each modality (32 by default, chosen on validation blocks of demo worlds).
    """
    codes = Codes.empty(len(timelines))
    for done, n in enumerate(nets):
        aligned = [t.aligned[n.name] for t in timelines]
        trs = [t.trs("train")[a.valid[t.trs("train")]] for t, a in zip(timelines, aligned, strict=True)]
        targets, codes.centre[n.name], codes.scale[n.name] = standardise([encode_all(n, a) for a in aligned], trs)
        plain, everything = targets, targets
        if not n.frozen:
            raw, _, _ = standardise([summaries[n.name](a).astype(np.float32) for a in aligned], trs)
            plain = leading_components(raw, trs, config.summary_components)
            everything = [np.concatenate([h, s], 1) for h, s in zip(targets, plain, strict=True)]
        inputs = leading_components(everything, trs, config.input_components)
        for i, a in enumerate(aligned):
            there = a.valid
            codes.present[i][n.name] = there
            codes.inputs[i][n.name] = inputs[i] * there[:, None]
            codes.summaries[i][n.name] = plain[i] * there[:, None]
            codes.targets[i][n.name] = targets[i] * there[:, None]
        progress("codes", done + 1, len(nets))
    return codes
