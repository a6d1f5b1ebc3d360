"""Losses on one scale: 1.0 is the best constant predictor on the training set, 0 is perfect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.types import Aligned, Array, FeatureSpec, Int

NativeLoss = Callable[[Tensor, Tensor], Tensor]
MIN_TRS_FOR_R = 20


def constant_prediction(parts: Iterable[tuple[Aligned, Int]], spec: FeatureSpec) -> Tensor:
    """The best constant for the training TRs: the mean frame [*S], or log frequencies [*S, classes] if discrete."""
    total: Array = np.zeros((*spec.shape, *(() if spec.num_classes is None else (spec.num_classes,))))
    n = 0
    for aligned, trs in parts:
        for start in range(0, len(trs), 32):
            values, mask = aligned.rows(trs[start : start + 32], spec.frames)
            there = values[mask]
            n += len(there)
            total += (
                there.sum(0, dtype=np.float64) if spec.num_classes is None else _one_hot_sum(there, spec.num_classes)
            )
    mean = total / max(n, 1)
    return torch.tensor(mean if spec.num_classes is None else np.log(mean + 0.5 / max(n, 1)), dtype=torch.float32)


def _one_hot_sum(codes: Array, classes: int) -> Array:
    flat = codes.reshape(len(codes), -1)
    counts = np.stack([np.bincount(column, minlength=classes) for column in flat.T.astype(np.int64)])
    return counts.reshape(*codes.shape[1:], classes).astype(np.float64)


class RelativeLoss:
    """A modality's own loss, masked, averaged over the frames that are there and divided by the constant's loss."""

    def __init__(self, native: NativeLoss, spec: FeatureSpec, constant: Tensor) -> None:
        self.native, self.spec, self.constant = native, spec, constant
        self.scale = 1.0

    def calibrate(self, parts: Iterable[tuple[Aligned, Int]]) -> RelativeLoss:
        """Measure the constant's loss on the training TRs."""
        total = n = 0.0
        for aligned, trs in parts:
            for start in range(0, len(trs), 16):
                values, mask = (torch.from_numpy(a) for a in aligned.rows(trs[start : start + 16], self.spec.frames))
                constant = self.constant.expand(*mask.shape, *self.constant.shape)
                loss = self.native(constant, values)
                total, n = total + float((loss * mask).sum()), n + float(mask.sum())
        self.scale = max(total / max(n, 1.0), 1e-12)
        return self

    def per_tr(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Relative loss of each TR, [n]; 0 where a TR has no frames."""
        loss = self.native(prediction, target) * mask
        return loss.sum(1) / mask.sum(1).clamp_min(1) / self.scale

    def __call__(self, prediction: Tensor, target: Tensor, mask: Tensor, frames: float | None = None) -> Tensor:
        """Mean relative loss over all frames that are there: those of `mask`, or of a batch that has `frames`."""
        there = mask.sum() if frames is None else torch.tensor(frames)
        return (self.native(prediction, target) * mask).sum() / there.clamp_min(1) / self.scale


class Counted(NamedTuple):
    """What the loss of BOLD averages over: windows, valid TRs, and windows with enough of them for a correlation."""

    windows: int
    trs: int
    correlated: int

    @classmethod
    def of(cls, valid: NDArray[np.bool_]) -> Counted:
        """Of a batch of windows, [B, T]."""
        return cls(len(valid), max(1, int(valid.sum())), max(1, int((valid.sum(1) >= MIN_TRS_FOR_R).sum())))


def bold_loss(prediction: Tensor, y: Tensor, valid: Tensor, counted: Counted | None = None) -> Tensor:
    """Mean squared error plus 1 - r, of BOLD scaled to unit training variance: [B, T, V], [B, T, V], [B, T].

    r is taken over the valid TRs of each window, and only of windows with at least 20 of them; both terms are averages
    over what counts, and 1.0 + 1.0 is what a constant scores. Where the windows are a share of a batch, `counted` is
    the whole batch's, and the losses of all shares add up to the batch's.
    """
    all_of = counted or Counted.of(valid.cpu().numpy())
    m = valid.to(y.dtype).unsqueeze(-1)
    n = m.sum(1).clamp_min(1)
    a, b = prediction * m, y * m
    sum_a, sum_b = a.sum(1), b.sum(1)
    aa, bb, ab = ((p * q).sum(1) for p, q in ((a, a), (b, b), (a, b)))
    mse = (aa - 2 * ab + bb).sum() / (all_of.trs * y.shape[-1])
    spread = (aa - sum_a * sum_a / n).clamp_min(0) * (bb - sum_b * sum_b / n).clamp_min(0)
    r = (ab - sum_a * sum_b / n) / (spread + 1e-6).sqrt()
    enough = (n >= MIN_TRS_FOR_R).to(y.dtype)
    return mse + len(y) / all_of.windows - (r * enough).sum() / (all_of.correlated * y.shape[-1])


def to_features(prediction: Tensor, spec: FeatureSpec) -> Array:
    """What a decoder made, as features: classes by their best logit, whole numbers rounded into their range."""
    if spec.num_classes is not None:
        return prediction.argmax(-1).cpu().numpy().astype(spec.dtype)
    values = prediction.detach().cpu().numpy()
    if np.dtype(spec.dtype).kind in "iu":
        info = np.iinfo(spec.dtype)
        values = np.rint(values).clip(info.min, info.max)
    return values.astype(spec.dtype)
