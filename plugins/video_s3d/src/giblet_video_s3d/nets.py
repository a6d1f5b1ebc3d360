"""Light separable 3-D convolutions: 1xkxk over space, then kx1x1 over time, and their mirror."""

from __future__ import annotations

from itertools import pairwise

from giblet.nn import (
    HIDDEN,
    ClipDecoder,
    ClipEncoder,
    CoarseDecoder,
    CoarseEncoder,
    build_temporal,
    halves,
    normalised,
    spread,
)
from giblet.types import Temporal
from torch import Tensor, nn

Size = tuple[int, int, int]
POOLED = 24
"""Channels between the convolutions and the dense layers."""
DENSE: Size = (3, 6, 10)
"""Cells that the decoder's dense layer makes at most, what the light net needs; more are interpolated from them."""


def sizes(size_KHW: Size, steps: int) -> list[Size]:
    """Frames, rows and columns after 0, 1, ... steps: space halves at each, time from the second on."""
    k, h, w = size_KHW
    return list(zip([k, *halves(k, steps - 1)], halves(h, steps), halves(w, steps), strict=True))


def norm(channels: int) -> nn.Module:
    """What follows each convolution."""
    return normalised(channels, groups=4)


class SeparableStep(nn.Module):
    """[n, C, K, H, W]: over space with stride 2 (5x5 or 3x3), then over time."""

    def __init__(self, before: int, after: int, kernel: int, time_stride: int) -> None:
        super().__init__()
        self.space = nn.Conv3d(before, after, (1, kernel, kernel), (1, 2, 2), (0, kernel // 2, kernel // 2))
        self.time = nn.Conv3d(after, after, (3, 1, 1), (time_stride, 1, 1), (1, 0, 0))
        self.norms = nn.ModuleList([norm(after), norm(after)])

    def forward(self, x: Tensor) -> Tensor:
        """One step down."""
        return self.norms[1](self.time(self.norms[0](self.space(x))))


class SeparableStepBack(nn.Module):
    """The mirror of a step: over time, then over space, to exactly the size that is asked for."""

    def __init__(self, before: int, after: int, time_stride: int, *, last: bool) -> None:
        super().__init__()
        self.time: nn.Module = nn.ConvTranspose1d(before, before, 3, 2, 1) if time_stride == 2 else nn.Identity()
        self.space = nn.ConvTranspose2d(before, after, 3, 2, 1)
        self.norms = nn.ModuleList([norm(before), nn.Identity() if last else norm(after)])

    def forward(self, x: Tensor, size_KHW: Size) -> Tensor:
        """One step up, [n, C, K, H, W]."""
        (n, _, _, h, w), (k, *picture) = x.shape, size_KHW
        if isinstance(self.time, nn.ConvTranspose1d):
            courses = x.permute(0, 3, 4, 1, 2).flatten(0, 2)
            x = self.time(courses, output_size=(k,)).unflatten(0, (n, h, w)).permute(0, 3, 4, 1, 2)
        x = self.norms[0](x).transpose(1, 2).flatten(0, 1)
        return self.norms[1](self.space(x, output_size=picture).unflatten(0, (n, k)).transpose(1, 2))


class Thirds(nn.Module):
    """[n, C, K, h, w], [n, K] -> [n, P]: means over 3 x 3 x 5 cells of time and space, one after another."""

    outputs = POOLED * 45

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AdaptiveAvgPool3d((3, 3, 5))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, C, K, h, w], [n, K] -> [n, P]; the clip is full wherever it is there at all."""
        return self.cells(x).flatten(1)


class OverFrames(nn.Module):
    """[n, C, K, h, w], [n, K] -> [n, P]: means over 3 x 5 cells of space in each frame, pooled by a temporal module."""

    outputs = HIDDEN

    def __init__(self, temporal: Temporal, tr_s: float | None) -> None:
        super().__init__()
        self.cells, self.enter = nn.AdaptiveAvgPool3d((None, 3, 5)), nn.Linear(POOLED * 15, HIDDEN)
        self.pool = build_temporal(temporal, HIDDEN, tr_s)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, C, K, h, w], [n, K] -> [n, P]."""
        return self.pool(self.enter(self.cells(x).transpose(1, 2).flatten(2)), mask)


class Encoder(ClipEncoder):
    """[n, F, H, W, 3], [n, F] -> [n, D]: a clip through separable convolutions; frames in order, motion kept.

    `temporal="own"` halves time twice and keeps `Thirds` of it; the names of `giblet.nn.build_temporal` keep every
    frame up to the module that pools them.
    """

    def __init__(
        self,
        size_KHW: Size,
        channels: tuple[int, ...],
        width: int,
        temporal: Temporal = "own",
        tr_s: float | None = None,
    ) -> None:
        super().__init__(size_KHW, width)
        own = temporal == "own"
        steps = enumerate(pairwise((3, *channels)))
        self.steps = nn.Sequential(*(SeparableStep(a, b, 3 if i else 5, 2 if i and own else 1) for i, (a, b) in steps))
        self.narrow = nn.Conv3d(channels[-1], POOLED, 1)
        self.pool = Thirds() if own else OverFrames(temporal, tr_s)
        outputs = self.pool.outputs
        self.dense = nn.Sequential(nn.LayerNorm(outputs), nn.Linear(outputs, self.learned))
        self.coarse = CoarseEncoder(self.learned)

    def see(self, clip: Tensor, there: Tensor) -> Tensor:
        """[n, K, 3, h, w], [n, K] -> [n, learned]."""
        return self.dense(self.pool(self.narrow(self.steps(4 * (clip - 0.5).transpose(1, 2))), there))


class Decoder(ClipDecoder):
    """[n, D] -> [n, F, H, W, 3] in about 0..255: a coarse film, and what separable convolutions add."""

    def __init__(self, size_KHW: Size, channels: tuple[int, ...], width: int, out_FHW: Size) -> None:
        super().__init__(out_FHW)
        self.sizes = sizes(size_KHW, len(channels))[::-1]
        k, h, w = (min(n, most) for n, most in zip(self.sizes[0], DENSE, strict=True))
        self.start = nn.Sequential(
            nn.Linear(width, 12 * k * h * w),
            nn.Unflatten(1, (12, k, h, w)),
            nn.Conv3d(12, channels[-1], 1),
            norm(channels[-1]),
        )
        ends = list(pairwise((*channels[::-1], 3)))
        strides = [2] * (len(ends) - 1) + [1]
        steps = zip(ends, strides, strict=True)
        self.steps = nn.ModuleList(SeparableStepBack(a, b, s, last=b == 3) for (a, b), s in steps)
        self.coarse = CoarseDecoder(size_KHW, width)

    def detail(self, h: Tensor) -> Tensor:
        """[n, D] -> [n, K, 3, h, w]."""
        x = spread(self.start(h), self.sizes[0])
        for step, size in zip(self.steps, self.sizes[1:], strict=True):
            x = step(x, size)
        return x.transpose(1, 2)
