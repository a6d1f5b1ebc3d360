"""The demo's picture: textured shapes that drift; motion, contrast, colour and shape are in the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.data.demo.schedule import FPS_HZ, Float64, stream
from giblet.data.demo.world import World

HEIGHT, WIDTH = 90, 160
TILE, CELL = 240, 48
"""Scenes are periodic tiles of 5 x 5 shapes, in pixels."""
LUMA, CHROMA = 95.0, 62.0
"""Full contrast about mid grey, and the saturation of a shape's colour, in 8-bit steps."""
Bytes = NDArray[np.uint8]


def frames(world: World, run: int) -> Iterator[Bytes]:
    """The frames of a run, one shot at a time: planar YUV 4:2:0, [n, 135, 160]."""
    rng = stream(world.seed, "film", run)
    textures = [_texture(rng, 6.0) for _ in range(8)]
    units = world.units
    for shot in np.unique(units.shot[units.run == run]):
        mine = np.flatnonzero(units.shot == shot)
        yield _shot(world, rng, textures, int(mine[0]), int(units.stop[mine[-1]] - units.start[mine[0]]))


def _shot(world: World, rng: np.random.Generator, textures: list[Float64], unit: int, n: int) -> Bytes:
    """One shot: the shapes drift in a random direction, the ground behind them half as fast the other way."""
    ground, grain = (
        np.roll(textures[k], rng.integers(TILE, size=2), (0, 1)) for k in rng.integers(len(textures), size=2)
    )
    alpha, sign = _shapes(rng, int(world.level["shape"][unit]))
    scene = np.stack([alpha, alpha * (0.75 * sign + 0.25 * grain)])
    angle = rng.uniform(0, 2 * np.pi)
    step = world.value("motion")[unit] / FPS_HZ * np.array([np.sin(angle), np.cos(angle)])
    hue = np.deg2rad(world.value("colour")[unit])
    fore, back = _padded(scene), _padded(ground[None])
    out = np.empty((n, HEIGHT * WIDTH * 3 // 2), np.uint8)
    for k in range(n):
        shape, paint = _crop(fore, k * step)
        luma = world.value("contrast")[unit] * ((1 - shape) * 0.5 * _crop(back, -0.5 * k * step)[0] + paint)
        half = shape.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)) * CHROMA
        out[k] = np.concatenate([_bytes(LUMA * luma), _bytes(half * np.cos(hue)), _bytes(half * np.sin(hue))])
    return out.reshape(n, HEIGHT * 3 // 2, WIDTH)


def _bytes(plane: NDArray[Any]) -> Bytes:
    return np.clip(np.rint(plane.ravel() + 128), 16, 235).astype(np.uint8)


def _texture(rng: np.random.Generator, blob_px: float) -> Float64:
    """Smooth periodic noise with an SD of 0.5, kept within -1 and 1, [TILE, TILE]."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) * np.exp(-2 * (np.pi * frequency * blob_px / 2) ** 2)
    noise = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return np.asarray(np.clip(0.5 * noise / noise.std(), -1, 1))


def _shapes(rng: np.random.Generator, shape: int) -> tuple[Float64, Float64]:
    """How much of each pixel a shape covers, and whether that shape is bright or dark (+1, -1), both [TILE, TILE]."""
    cells = (TILE // CELL,) * 2
    radius, turn = rng.uniform(14, 20, cells), rng.uniform(0, 2 * np.pi, cells)
    shift, sign = rng.uniform(-3, 3, (2, *cells)), rng.permutation(np.resize([1.0, -1.0], cells[0] ** 2)).reshape(cells)
    spread = [np.kron(a, np.ones((CELL, CELL))) for a in (radius, turn, *shift, sign)]
    y, x = np.meshgrid(np.arange(TILE) % CELL - CELL / 2 + 0.5, np.arange(TILE) % CELL - CELL / 2 + 0.5, indexing="ij")
    inside = _distance(shape, y - spread[2], x - spread[3], spread[0], spread[1])
    return np.clip(0.5 - inside, 0, 1), spread[4]


def _distance(shape: int, y: Float64, x: Float64, radius: Float64, turn: Float64) -> Float64:
    """Signed distance in pixels to the outline of a disc, square, triangle or ring, negative inside."""
    r = np.hypot(y, x)
    if shape in (0, 3):
        return r - radius if shape == 0 else np.abs(r - 0.72 * radius) - 0.28 * radius
    sides = 4 if shape == 1 else 3
    sector = (np.arctan2(y, x) - turn) % (2 * np.pi / sides) - np.pi / sides
    return np.asarray(r * np.cos(sector) - radius * np.cos(np.pi / sides))


def _padded(tile: NDArray[Any]) -> NDArray[np.float32]:
    return np.pad(tile, ((0, 0), (0, HEIGHT + 1), (0, WIDTH + 1)), mode="wrap").astype(np.float32)


def _crop(padded: NDArray[np.float32], offset: Float64) -> NDArray[np.float32]:
    """The view of a tile at a fractional offset, bilinear, [K, 90, 160]."""
    (y, fy), (x, fx) = ((int(v // 1), np.float32(v % 1)) for v in offset % TILE)
    rows = padded[:, y : y + HEIGHT + 1, x : x + WIDTH + 1]
    rows = rows[:, :-1] * (1 - fy) + rows[:, 1:] * fy
    return np.asarray(rows[:, :, :-1] * (1 - fx) + rows[:, :, 1:] * fx)
