"""From the frames of a TR to its code: codes through an embedding a codebook, latents as they are."""

from __future__ import annotations

from math import ceil
from typing import Literal

import torch
from giblet.nn import build_temporal
from giblet.types import FeatureSpec, Temporal
from torch import Tensor, nn
from torch.nn import functional as F

from giblet_audio_encodec.linear import ToCode

HIDDEN, TOKEN = 96, 32
FULL_CHANNELS, FULL_TOKEN = 128, 64
PLACES = 16
"""How many means over time the encoder keeps of a TR: 0.1 s each at a TR of 1.5 s."""
KERNELS = (3, 5, 7)


def tokens(vectors: Tensor, size: int) -> Tensor:
    """The codec's own vectors [C, K, D] on their principal axes, [C, K, size], of unit SD over each codebook."""
    centred = vectors - vectors.mean(1, keepdim=True)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:, :size]
    out = centred @ axes.mT
    out = out / out.flatten(1).std(1).clamp_min(1e-6)[:, None, None]
    return F.pad(out, (0, size - out.shape[2]))


def moments(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and SD [D] of latents whose codes are drawn from each codebook evenly, of vectors [C, K, D]."""
    return vectors.mean(1).sum(0), vectors.var(1).sum(0).sqrt().clamp_min(1e-6)


class MultiScale(nn.Module):
    """Convolutions of 3, 5 and 7 frames side by side, added to their input: [n, H, F] -> [n, H, F]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(hidden, hidden // len(KERNELS), k, padding=k // 2) for k in KERNELS)
        self.mix = nn.Conv1d(hidden // len(KERNELS) * len(KERNELS), hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, H, F] -> [n, H, F]."""
        return x + self.mix(F.gelu(torch.cat([conv(x) for conv in self.convs], 1)))


class Branches(nn.Module):
    """Convolutions of 3, 5 and 7 frames with 128 channels each, side by side: [n, E, F] -> [n, 384, F]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(inputs, FULL_CHANNELS, k, padding=k // 2) for k in KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        """[n, E, F] -> [n, 384, F]."""
        return F.gelu(torch.cat([conv(x) for conv in self.convs], 1))


class Places(nn.Module):
    """[n, F, E], [n, F] -> [n, 16 H]: convolutions, then means over 16 places in time, side by side."""

    def __init__(self, frames: int, conv: nn.Module, hidden: int) -> None:
        super().__init__()
        self.conv = conv
        self.pool = ceil(frames / PLACES)
        self.outputs = hidden * ceil(frames / self.pool)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, E], [n, F] -> [n, 16 H]."""
        there = mask.unsqueeze(1).to(x.dtype)
        refined = self.conv(x.transpose(1, 2) * there) * there
        summed, count = (F.avg_pool1d(v, self.pool, ceil_mode=True) for v in (refined, there))
        return (summed / count.clamp_min(1e-6)).flatten(1)


class TRCode(nn.Module):
    """Frames [n, F, E], [n, F] -> [n, D].

    `light` narrows each frame first; `full` convolves it as it is, 128 channels a kernel. `temporal="own"` keeps
    `Places`; the other names are those of `giblet.nn.build_temporal`, before which a light net does not convolve.
    """

    def __init__(
        self, spec: FeatureSpec, inputs: int, width: int, temporal: Temporal, net: Literal["light", "full"]
    ) -> None:
        super().__init__()
        light = net == "light"
        self.frame = nn.Linear(inputs, HIDDEN) if light else nn.Identity()
        hidden = HIDDEN if light else FULL_CHANNELS * len(KERNELS)
        conv = MultiScale(HIDDEN) if light else Branches(inputs)
        own = Places(spec.frames, conv, hidden) if temporal == "own" else None
        self.pool = own or build_temporal(temporal, HIDDEN if light else inputs, spec.tr_s)
        self.out = nn.Linear(own.outputs if own else (HIDDEN if light else inputs), width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, E], [n, F] -> [n, D]."""
        return self.out(self.pool(self.frame(x), mask))


class CodeEncoder(nn.Module):
    """[n, F, C] codes, [n, F] -> [n, D]: an embedding a codebook, then the frames of the TR to one."""

    def __init__(
        self,
        spec: FeatureSpec,
        width: int,
        vectors: Tensor,
        temporal: Temporal = "own",
        net: Literal["light", "full"] = "light",
    ) -> None:
        super().__init__()
        size = TOKEN if net == "light" else FULL_TOKEN
        books, classes = vectors.shape[:2]
        self.embed = nn.Embedding.from_pretrained(tokens(vectors, size).flatten(0, 1), freeze=False)
        self.offset = nn.Buffer(torch.arange(books) * classes, persistent=False)
        self.code = TRCode(spec, books * size, width, temporal, net)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, C], [n, F] -> [n, D]."""
        return self.code(self.embed(x.flatten(2).long() + self.offset).flatten(2), mask)


class LatentEncoder(nn.Module):
    """[n, F, D'] latents, [n, F] -> [n, D]: the linear way, to which what is learned is added.

    The net beside it reads latents in units of what the codebooks [C, K, D'] span, and adds nothing at first.
    """

    def __init__(
        self, spec: FeatureSpec, width: int, vectors: Tensor, temporal: Temporal, net: Literal["light", "full"]
    ) -> None:
        super().__init__()
        centre, scale = moments(vectors)
        self.centre, self.scale = nn.Buffer(centre, persistent=False), nn.Buffer(scale, persistent=False)
        self.linear = ToCode(spec.frames, width, vectors)
        self.added = TRCode(spec, spec.size, width, temporal, net)
        nn.init.zeros_(self.added.out.weight)
        nn.init.zeros_(self.added.out.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, F, D'], [n, F] -> [n, D]."""
        return self.linear(x, mask) + self.added((x - self.centre) / self.scale, mask)
