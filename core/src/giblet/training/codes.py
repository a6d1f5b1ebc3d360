"""What the trunk reads: the leading components of each modality's code h and summary, fitted on training TRs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.extmath import svd_flip

from giblet.config import ModelConfig
from giblet.data.dataset import Timeline
from giblet.errors import PluginError
from giblet.model import PRESETS, Codes, ModalityNets, Projection
from giblet.model.projection import Fitted, components, standardised, varying
from giblet.training import checkpoint
from giblet.types import Aligned, Array, Int, Progress

Matrix = NDArray[np.float32]
Encoded = tuple[Matrix, Matrix | None]
"""The code [T, W] and the summary [T, S] of a run; no summary where the features are their own code."""


class Summarised(Protocol):
    """A modality as far as its plain numbers go."""

    def summary(self, aligned: Aligned) -> Array:
        """The plain numbers of each TR, [T, S]."""

    def summary_groups(self, columns: int) -> Sequence[int]:
        """How many of its columns belong together, in order."""


Modalities = Mapping[str, Summarised]


def encode_all(nets: ModalityNets, aligned: Aligned, batch: int = 32) -> Matrix:
    """The code of every TR of a run, [T, W]."""
    nets.encoder.eval()
    out = []
    with torch.no_grad():
        for start in range(0, aligned.grid.n_trs, batch):
            values, mask = aligned.rows(slice(start, start + batch), nets.spec.frames)
            out.append(nets.encoder(torch.from_numpy(values), torch.from_numpy(mask)).numpy())
    return np.concatenate(out).astype(np.float32)


def encode_run(nets: ModalityNets, aligned: Aligned, modalities: Modalities) -> Encoded:
    """Code and summary of every TR of a run."""
    if nets.frozen and not nets.plain:
        return encode_all(nets, aligned), None
    return encode_all(nets, aligned), modalities[nets.name].summary(aligned).astype(np.float32)


def groups_of(summary: Matrix | None, modalities: Modalities, name: str) -> Sequence[int]:
    """The groups of a modality's summary [T, S]; none where its features are their own code.

    Raises
    ------
    PluginError
        If the groups do not add up to the columns.
    """
    if summary is None:
        return []
    columns = summary.shape[1]
    groups = [int(n) for n in modalities[name].summary_groups(columns)]
    if sum(groups) != columns or min(groups, default=0) < 1:
        raise PluginError(f"{name}.summary_groups({columns}) is {groups}, which does not add up; correct the plugin")
    return groups


def fit_projection(
    encoded: Sequence[Encoded], trs: Sequence[Int], config: ModelConfig, groups: Sequence[int] = ()
) -> Projection:
    """Learn scaling and components from the training TRs `trs` of each run.

    The code, and each of the `groups` of a summary's columns (one, if none are named), have the same variance in all
    before components are taken. With a few hundred TRs, a brain cannot be fitted to more than a few dozen directions of
    each modality (32 by default, chosen on validation blocks of demo worlds).
    """
    codes = _stack([code for code, _ in encoded], trs)
    centre, scale = codes.mean(0), codes.std(0)
    joined = standardised(codes, centre, scale)
    summary: dict[str, Fitted] = {}
    if raw := [s for _, s in encoded if s is not None]:
        rows = _stack(raw, trs)
        summary = {"summary_centre": rows.mean(0), "summary_scale": group_scale(rows.std(0), groups or [rows.shape[1]])}
        scaled = standardised(rows, summary["summary_centre"], summary["summary_scale"])
        summary["summary_basis"] = leading_components(scaled, config.summary_components)
        plain = components(scaled, summary["summary_basis"])
        weights = np.repeat(
            [_weight(joined, 1.0), _weight(plain, _variance(scaled))], [joined.shape[1], plain.shape[1]]
        )
        joined = np.concatenate([joined, plain], 1)
    else:
        weights = np.ones(joined.shape[1])
    whole = PRESETS[config.preset].reads == "features"
    basis = None if whole else leading_components(joined * weights, config.input_components) * weights
    return Projection(centre, scale, basis, **summary)


def group_scale(sd: Fitted, groups: Sequence[int]) -> Fitted:
    """What columns of these SDs are divided by, [S], so that each group has a variance of 1 in all."""
    moving = np.split(varying(sd), np.cumsum(groups)[:-1])
    return sd * np.concatenate([np.full(len(m), np.sqrt(max(m.sum(), 1))) for m in moving])


def _variance(rows: Matrix) -> float:
    """Of all columns [T, P] together, each centred."""
    return float(np.square(rows, dtype=np.float64).sum(1).mean())


def _weight(rows: Matrix, variance: float) -> float:
    """What rows are multiplied by to have that variance in all."""
    return float(np.sqrt(variance / (_variance(rows) or 1.0)))


def leading_components(rows: Matrix, n: int) -> Fitted:
    """The first n principal components of training rows [T, P], as [n, P].

    They are scaled together, so that scores on them have a mean square of 1 and keep their relative sizes. The largest
    entry of each is positive: the signs that a decomposition gives differ with the number of threads.
    """
    train = rows.astype(np.float64)
    _, _, found = np.linalg.svd(train, full_matrices=False)
    _, basis = svd_flip(None, found, u_based_decision=False)
    size = float(np.sqrt(np.mean(np.square(train @ basis[:n].T)))) or 1.0
    return np.asarray(basis[:n] / size, np.float64)


def _stack(rows: Sequence[Matrix], trs: Sequence[Int]) -> Fitted:
    return np.concatenate([r[t] for r, t in zip(rows, trs, strict=True)]).astype(np.float64)


def compute_codes(
    timelines: Sequence[Timeline],
    nets: Sequence[ModalityNets],
    modalities: Modalities,
    config: ModelConfig,
    progress: Progress,
) -> Codes:
    """Encode every run with the trained front ends, learn a projection a modality, and apply it."""
    codes = Codes.empty(len(timelines))
    steps = len(nets) * len(timelines)
    for k, n in enumerate(nets):
        aligned, encoded = [t.aligned[n.name] for t in timelines], []
        for i, a in enumerate(aligned):
            progress("codes", k * len(timelines) + i, steps)
            encoded.append(encode_run(n, a, modalities))
        trs = [t.trs("train")[a.valid[t.trs("train")]] for t, a in zip(timelines, aligned, strict=True)]
        codes.projections[n.name] = fit_projection(encoded, trs, config, groups_of(encoded[0][1], modalities, n.name))
        for i, (a, e) in enumerate(zip(aligned, encoded, strict=True)):
            codes.put(i, n.name, *e, a.valid)
    progress("codes", steps, steps)
    return codes


def keep_projections(place: Path, codes: Codes) -> None:
    """Write a checkpoint of the projections, so that a run that goes on reads by those that it began with.

    Components of equal variance may turn from machine to machine, and a trunk knows only those that it was trained on.

    Raises
    ------
    GibletError
        If it cannot be written.
    """
    parts = {f"{name}/{part}": a for name, p in codes.projections.items() for part, a in p.arrays().items()}
    checkpoint.save(place, 0, {key: torch.from_numpy(a) for key, a in parts.items()}, {})


def kept_projections(place: Path) -> dict[str, Projection]:
    """The projections of a checkpoint; none where there is none.

    Raises
    ------
    DataError
        If it is damaged.
    """
    if (there := checkpoint.newest(place)) is None:
        return {}
    arrays: dict[str, dict[str, Fitted]] = {}
    for key, tensor in checkpoint.load(there)[0].items():
        name, _, part = key.rpartition("/")
        arrays.setdefault(name, {})[part] = tensor.numpy()
    return {name: Projection.of(parts) for name, parts in arrays.items()}


def apply_codes(
    timelines: Sequence[Timeline],
    nets: Sequence[ModalityNets],
    modalities: Modalities,
    projections: Mapping[str, Projection],
    progress: Progress,
) -> Codes:
    """Encode every run with trained front ends and projections; nothing is learned.

    A modality that a run lacks is masked there: zeros, present nowhere.
    """
    codes, steps = Codes.empty(len(timelines), projections), len(nets) * len(timelines)
    for k, n in enumerate(nets):
        for i, t in enumerate(timelines):
            progress("codes", k * len(timelines) + i, steps)
            if n.name in t.aligned:
                a = t.aligned[n.name]
                codes.put(i, n.name, *encode_run(n, a, modalities), a.valid)
            else:
                codes.absent(i, n.name, t.grid.n_trs)
    progress("codes", steps, steps)
    return codes
