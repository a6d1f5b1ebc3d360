"""The demo's head: a small ellipsoid cut into 50 named parcels, 26 of which respond to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from giblet.types import Array, Int

SHAPE = (14, 14, 10)
VOXEL_MM = 12.0
NETWORKS = ("visual", "auditory", "language", "association", "quiet")
PER_NETWORK = 6
N_PARCELS = 50


@dataclass(frozen=True)
class Atlas:
    """Which voxels are in the head [x, y, z], the parcel of each of them [V] from 0, and each parcel's name [R]."""

    mask: Array
    parcel: Int
    names: tuple[str, ...]

    @property
    def network(self) -> list[str]:
        """The network of each parcel, [R]."""
        return [name.rpartition("_")[0] for name in self.names]

    @property
    def responsive(self) -> list[int]:
        """The parcels that respond to anything."""
        return [p for p, network in enumerate(self.network) if network != "quiet"]

    def of_voxel(self) -> Array:
        """The network of each voxel, [V]."""
        return np.array(self.network)[self.parcel]

    def volume(self, values: Array) -> Array:
        """Values [V] or [V, T] as an image, zero outside the head."""
        image = np.zeros((*SHAPE, *values.shape[1:]), values.dtype)
        image[self.mask] = values
        return image

    def affine(self) -> Array:
        """From voxel to millimetre, with the origin in the middle."""
        affine = np.diag([VOXEL_MM] * 3 + [1.0])
        affine[:3, 3] = -VOXEL_MM * (np.array(SHAPE) - 1) / 2
        return affine

    def table(self) -> str:
        """The label table, tab-separated; the image holds `index`."""
        rows = [
            f"{i + 1}\t{name}\t{network}"
            for i, (name, network) in enumerate(zip(self.names, self.network, strict=True))
        ]
        return "\n".join(["index\tname\tnetwork", *rows, ""])


@cache
def make_atlas() -> Atlas:
    """The same head in every world, as people share an atlas."""
    half = (np.array(SHAPE) - 1) / 2
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij"), axis=-1)
    mask = ((grid / (half + 0.5)) ** 2).sum(-1) <= 1
    points = grid[mask]
    centres = _centres(points)
    order, names = _networks(centres)
    parcel = np.argmin(((points[:, None] - centres[order]) ** 2).sum(-1), axis=1)
    return Atlas(mask, parcel, names)


def _centres(points: Array) -> Array:
    """Even parcels by Lloyd's iterations, [R, 3] in voxels from the middle."""
    centres = points[np.random.default_rng(0).choice(len(points), N_PARCELS, replace=False)]
    for _ in range(30):
        nearest = np.argmin(((points[:, None] - centres) ** 2).sum(-1), axis=1)
        centres = np.stack([points[nearest == k].mean(0) for k in range(N_PARCELS)])
    return centres


def _networks(centres: Array) -> tuple[list[int], tuple[str, ...]]:
    """Give parcels to networks by where they lie: visual behind, auditory at the sides, language left in front."""
    x, y, z = centres.T
    wish = {"visual": y, "auditory": -np.abs(x), "language": x - y, "association": -z}
    left, order, names = list(range(N_PARCELS)), [], []
    for network in NETWORKS:
        scores = wish.get(network, np.zeros(N_PARCELS))
        mine = sorted(left, key=lambda p: scores[p])[: PER_NETWORK if network in wish else None]
        left = [p for p in left if p not in mine]
        order += mine
        names += [f"{network}_{i + 1}" for i in range(len(mine))]
    return order, tuple(names)
