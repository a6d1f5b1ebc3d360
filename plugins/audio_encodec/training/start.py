"""Weights to begin with: a linear codec that keeps the 64 strongest principal components of 320 samples.

Encoder convolutions begin as the principal components of the blocks that come in, decoder convolutions as their
transposes, residual blocks as almost nothing, and signals so small that an ELU is a straight line. Without this,
training stays at silence of the right loudness for thousands of steps before it finds any waveform.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GAIN = 0.5
"""From the sound to the first layer: components of sound at usual levels stay below the bend of the ELU."""
BRANCH = 0.1
"""Of what a residual branch would give."""
JITTER = 0.02
"""Deviation, relative to the weights, of what tells spare channels apart."""


@torch.no_grad()
def start_linear(model: Any, sound: Tensor) -> None:
    """Fit encoder and decoder to sound [B, N]."""
    for name, parameter in model.named_parameters():
        if "bias" in name:
            parameter.zero_()
    encoder, decoder = (
        [layer for layer in part.layers if hasattr(layer, "conv")] for part in (model.encoder, model.decoder)
    )
    for block in model.modules():
        if hasattr(block, "shortcut"):
            _almost_nothing(block)
    x, matching = sound[:, None], dict(zip(encoder, reversed(decoder), strict=True))
    for layer in model.encoder.layers:
        if layer in matching:
            _fit(layer, matching[layer], x, first=layer is encoder[0], last=layer is encoder[-1])
        x = layer(x)


def _fit(layer: Any, inverse: Any, x: Tensor, first: bool, last: bool) -> None:
    """`layer` becomes the components of blocks of `x` [B, C, T], `inverse` their transpose."""
    stride = layer.conv.stride[0]
    rows, scale = _components(x, stride, layer.conv.out_channels), GAIN if first else 1.0
    if last:
        blocks = x.unfold(2, stride, stride).transpose(1, 2).flatten(2)
        scale = 1 / float((blocks @ rows[: layer.conv.out_channels].flatten(1).T).std())
    layer.conv.weight = _jittered(_at_end(rows * scale, layer.conv.weight))
    back = rows / scale
    if stride > 1:
        inverse.conv.weight = _jittered(_at_start(back, inverse.conv.weight))
    else:
        inverse.conv.weight = _jittered(_at_end(back.transpose(0, 1), inverse.conv.weight))


def _components(x: Tensor, stride: int, most: int) -> Tensor:
    """Orthonormal components [at most `most`, C, stride] of blocks of x [B, C, T], strongest first."""
    blocks = x.unfold(2, stride, stride).transpose(1, 2).flatten(0, 1).flatten(1)
    _, vectors = torch.linalg.eigh((blocks.T @ blocks).double())
    return vectors.flip(1).T[:most].float().unflatten(1, (x.shape[1], stride))


def _at_end(rows: Tensor, like: Tensor) -> Tensor:
    """Weights of the shape of `like`, zero but for `rows` in the newest taps of the first channels."""
    out = torch.zeros_like(like)
    out[: rows.shape[0], : rows.shape[1], -rows.shape[2] :] = rows
    return out


def _at_start(rows: Tensor, like: Tensor) -> Tensor:
    out = torch.zeros_like(like)
    out[: rows.shape[0], : rows.shape[1], : rows.shape[2]] = rows
    return out


def _jittered(weight: Tensor) -> Tensor:
    scale = float(weight.abs().max()) / weight[0].numel() ** 0.5
    return weight + JITTER * scale * torch.randn_like(weight)


def _almost_nothing(block: Any) -> None:
    """A residual block that passes on what it gets."""
    shortcut = block.shortcut.conv
    shortcut.weight = _jittered(torch.eye(shortcut.out_channels)[:, :, None])
    block.block[-1].conv.parametrizations.weight.original0.mul_(BRANCH)
