"""What joins latent and BOLD in time: a causal depthwise convolution, and its counterpart that looks the other way."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from giblet.alignment import canonical_hrf
from giblet.config import ModelConfig

BASIS_STEP_S = 1.5
"""Spacing of the delays that the kernels of one latent unit start from: BOLD delays differ between regions and people
by one to two seconds (Handwerker et al. 2004, doi:10.1016/j.neuroimage.2003.11.029)."""

PEAK_S, EARLIEST_S = 5.0, 1.0
"""When the canonical response peaks, and the earliest that a response may."""


def prior_kernels(config: ModelConfig, tr_s: float, slice_time_ref: float) -> Tensor:
    """The kernels that training starts from, [D * K, L]; tap l weighs the latent l TRs before the BOLD sample."""
    taps = int(np.ceil(config.kernel_s / tr_s)) + 1
    basis = config.basis if config.hemodynamics == "learned" else 1
    rows = [
        _kernel(config, tr_s, slice_time_ref, taps, unit % config.substeps, (k - (basis - 1) / 2) * BASIS_STEP_S)
        for unit in range(config.latent)
        for k in range(basis)
    ]
    return torch.tensor(np.stack(rows), dtype=torch.float32)


def response(config: ModelConfig, tr_s: float, slice_time_ref: float, delay_s: float) -> Tensor:
    """The canonical response as a kernel [L] that peaks so much later, and is as much wider.

    It is stretched, not moved: on the scans of people who heard a story that predicted more (docs/explanation/
    method.md). Where it is fixed to none or a shift, it is that.
    """
    taps = int(np.ceil(config.kernel_s / tr_s)) + 1
    if config.hemodynamics in ("none", "shift"):
        return torch.tensor(_kernel(config, tr_s, slice_time_ref, taps, 0, 0.0), dtype=torch.float32)
    stretch = max(PEAK_S + delay_s, EARLIEST_S) / PEAK_S
    hrf = canonical_hrf(tr_s, config.kernel_s, slice_time_ref=slice_time_ref, stretch=stretch)
    return torch.tensor(hrf[:taps], dtype=torch.float32)


@lru_cache(maxsize=64)
def _kernel(c: ModelConfig, tr_s: float, ref: float, taps: int, substep: int, delay_s: float) -> np.ndarray:
    if c.hemodynamics == "none":
        return np.eye(1, taps)[0]
    if c.hemodynamics == "shift":
        lag = min(c.shift_s / tr_s, taps - 1.0)
        return np.maximum(0.0, 1 - np.abs(np.arange(taps) - lag))
    if c.hemodynamics == "fir":
        return np.full(taps, 1.0 / taps)
    part = (substep / c.substeps, (substep + 1) / c.substeps)
    return canonical_hrf(tr_s, c.kernel_s, phase=part, slice_time_ref=ref - delay_s / tr_s)[:taps]


class Hemodynamics(nn.Module):
    """[B, T, D] -> [B, T, D * K]: each latent unit convolved with its K kernels, causally (reversed: from the future).

    `learned` starts from the canonical response at K delays and learns the difference; `fir` starts flat; `canonical`,
    `shift` and `none` are fixed. Rows that are not valid count as absent, and the kernel is renormalised over the rest.
    """

    def __init__(self, config: ModelConfig, tr_s: float, slice_time_ref: float = 0.5, *, reverse: bool = False) -> None:
        super().__init__()
        self.reverse, self.tr_s = reverse, tr_s
        prior = prior_kernels(config, tr_s, slice_time_ref)
        self.register_buffer("prior", prior)
        self.outputs, self.taps = prior.shape
        self.width = config.latent
        learns = config.hemodynamics in ("learned", "fir")
        self.delta = nn.Parameter(torch.zeros_like(prior)) if learns else None

    def kernels(self) -> Tensor:
        """The kernels now, [D * K, L]."""
        prior = self.get_buffer("prior")
        return prior if self.delta is None else prior + self.delta

    def forward(self, z: Tensor, valid: Tensor) -> Tensor:
        """[B, T, D], [B, T] -> [B, T, D * K]."""
        if self.reverse:
            z, valid = z.flip(1), valid.flip(1)
        kernels = self.kernels().flip(-1).unsqueeze(1)
        there = valid.to(z.dtype).unsqueeze(1)
        x = F.pad((z * valid.unsqueeze(-1)).transpose(1, 2), (self.taps - 1, 0))
        out = F.conv1d(x, kernels, groups=self.width)
        share = F.conv1d(F.pad(there, (self.taps - 1, 0)), kernels.detach().abs())
        share = share / kernels.detach().abs().sum(-1).clamp_min(1e-6).transpose(0, 1).unsqueeze(-1)
        out = (out / share.clamp_min(0.2)).transpose(1, 2)
        return out.flip(1) if self.reverse else out


class Delays(nn.Module):
    """Each person's delay against the others, in TRs: one number a person, which moves what their head reads.

    The response of one person may peak seconds before that of another (Handwerker et al. 2004,
    doi:10.1016/j.neuroimage.2003.11.029). What all share is in the kernels: the mean delay is 0.
    """

    def __init__(self, people: int) -> None:
        super().__init__()
        self.trs = nn.Parameter(torch.zeros(people))

    def of(self, person: int) -> Tensor:
        """A person's delay in TRs."""
        return self.trs[person] - self.trs.mean()

    def forward(self, x: Tensor, person: int) -> Tensor:
        """[B, T, D] -> [B, T, D] as much later as the person is, by a parabola between TRs; the ends are held."""
        delay = self.of(person)
        ends = -x.shape[1], x.shape[1]  # all that is later is the end, too; weights that diverged are the trainer's
        whole = delay.detach().round().nan_to_num().clamp(*ends)
        moved = 0 if whole.is_meta else int(whole)  # on the meta device there are sizes and no values
        at = torch.arange(x.shape[1], device=x.device) - moved
        before, here, after = (x.index_select(1, (at + step).clamp(0, x.shape[1] - 1)) for step in (-1, 0, 1))
        part = delay - whole
        return before * (part * (part + 1) / 2) + here * (1 - part * part) + after * (part * (part - 1) / 2)
