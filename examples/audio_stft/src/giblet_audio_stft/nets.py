"""Nets that see loudness and how phases move, and that say both: a phase by itself means nothing, its advance does."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, pi

import torch
from giblet.nn import FrameDecoder, FrameEncoder
from giblet.types import FeatureSpec
from torch import Tensor, nn
from torch.nn.functional import softplus

from giblet_audio_stft.transform import Stft

CENTRE, SCALE = log(1e-3), log(10)
"""Natural log of a bin's magnitude in speech: -60 dB, give or take 20."""
QUIET = 1e-10
"""Power that counts as nothing, -100 dB, to the loss, too."""


def expected_step(bins: int, stft: Stft) -> Tensor:
    """How far the phase of each bin's centre frequency moves in a hop, [bins] in radians."""
    return 2 * pi * torch.arange(bins) * stft.hop / stft.n_fft


class StftEncoder(nn.Module):
    """[n, F, bins, 2], [n, F] -> [n, D]: log magnitude, cosine and sine of how far phases move beyond the expected."""

    def __init__(self, spec: FeatureSpec, width: int, stft: Stft) -> None:
        super().__init__()
        bins = spec.shape[0]
        step = expected_step(bins, stft)
        self.back = nn.Buffer(torch.polar(torch.ones(bins), -step), persistent=False)
        self.net = FrameEncoder(replace(spec, shape=(3 * bins,)), width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, bins, 2], [n, F] -> [n, D]."""
        z = torch.view_as_complex((x.float() * mask[:, :, None, None]).contiguous())
        power = z.real.square() + z.imag.square() + QUIET
        before = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], dim=1)
        advance = torch.view_as_real(z * before.conj() * self.back)
        advance = advance / (advance.square().sum(-1, keepdim=True) + QUIET**2).sqrt()
        loud = (0.5 * power.log() - CENTRE) / SCALE
        return self.net(torch.cat([loud, advance[..., 0], advance[..., 1]], dim=-1), mask)


class StftDecoder(nn.Module):
    """[n, D] -> [n, F, bins, 2]: compressed magnitudes, and phases that add up from step to step, so that tones run on.

    What it says of magnitudes is what the loss compares, |S|^c: gradients are alike for loud and soft. The least of
    them is added, not clamped: a clamp, or a magnitude that the loss does not tell from zero, has no gradient.
    """

    def __init__(self, spec: FeatureSpec, width: int, stft: Stft, compression: float) -> None:
        super().__init__()
        self.step = nn.Buffer(expected_step(spec.shape[0], stft), persistent=False)
        self.compression, self.usual, self.least = compression, exp(compression * CENTRE), QUIET ** (compression / 2)
        self.net = FrameDecoder(spec, width)

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, bins, 2]."""
        loud, beyond = self.net(h).unbind(-1)
        magnitude = (self.usual * softplus(loud + 1) + self.least) ** (1 / self.compression)
        return torch.view_as_real(torch.polar(magnitude, (self.step + beyond).cumsum(1)))
