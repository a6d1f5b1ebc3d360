"""The codec's own nets, trained on: their quantiser is replaced by linear layers to the code of a TR and back."""

from __future__ import annotations

import copy
from typing import Any

import torch
from giblet.types import FeatureSpec
from torch import Tensor, nn

from giblet_audio_encodec.linear import FromCode, ToCode

TIME_WEIGHT = 10.0
"""Makes the distance of samples of speech at its usual level as large as that of log spectra."""
FLOOR = 1e-2
"""Of spectral magnitudes before the logarithm; with a much smaller one, silence rules the loss."""


class SoundEncoder(nn.Module):
    """Samples [n, F, hop], [n, F] -> [n, D]: the codec's encoder on each TR by itself, then linear layers.

    With those that it begins with, the net is the codec, its latents smoothed.
    """

    def __init__(self, spec: FeatureSpec, width: int, model: Any, vectors: Tensor) -> None:
        super().__init__()
        self.codec = copy.deepcopy(model.encoder).cpu().requires_grad_()
        self.code = ToCode(spec.frames, width, vectors)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, hop], [n, F] -> [n, D]."""
        sound = (x * mask.unsqueeze(-1).to(x.dtype)).flatten(1).unsqueeze(1)
        return self.code(self.codec(sound).transpose(1, 2), mask)


class SoundDecoder(nn.Module):
    """[n, D] -> samples [n, F, hop]: linear layers, then the codec's decoder on each TR by itself."""

    def __init__(self, spec: FeatureSpec, width: int, model: Any, vectors: Tensor) -> None:
        super().__init__()
        self.shape = spec.shape
        self.latents = FromCode(spec.frames, width, vectors)
        self.codec = copy.deepcopy(model.decoder).cpu().requires_grad_()

    def forward(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, F, hop]."""
        return self.codec(self.latents(h).transpose(1, 2))[:, 0].unflatten(1, (-1, *self.shape))


def frame_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean distance of samples, and of log magnitudes of the frame's spectrum, [n, F] of sounds [n, F, hop].

    The two terms of EnCodec's reconstruction loss (arXiv:2210.13438, section 3.4), kept inside a frame so that frames
    that are not there can be left out. A wave of the right pitch in a wrong phase is nearer than silence.
    """
    wave = (prediction - target).abs().mean(-1)
    window = torch.hann_window(target.shape[-1], device=target.device)
    logs = [(torch.fft.rfft(x * window).abs() + FLOOR).log() for x in (prediction, target)]
    return TIME_WEIGHT * wave + (logs[0] - logs[1]).abs().mean(-1)
