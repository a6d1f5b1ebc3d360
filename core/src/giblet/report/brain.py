"""Where in the brain: mosaics of slices from voxel maps, bars from parcels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from giblet.report.figures import BLUE, COLOURS, GREY, INK, ORANGE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLICES = 6
GAIN = "model minus best ridge"
RIDGES = {
    "ridge_group": "FIR ridge",
    "banded_group": "banded ridge",
    "summary_ridge_group": "ridge on summaries",
    "summary_banded_group": "banded ridge on summaries",
    "hrf_banded_group": "banded ridge under the HRF",
}
WEIGHTS = "weights"
MAP_COLOURS = "RdBu_r"
"""Diverging, so that a negative r is seen as one; the same limits on either side of 0."""
OUTLINED = 8


@dataclass(frozen=True, slots=True)
class Volume:
    """A mask in canonical orientation (left to right, back to front, bottom to top) and how to fill it."""

    mask: NDArray[np.bool_]
    orientation: NDArray[Any]
    original: NDArray[np.bool_]
    height_mm: NDArray[np.float64]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Volume:
        """Turn a mask `[X, Y, Z]` by its affine."""
        import nibabel

        orientation = nibabel.io_orientation(affine)
        image = nibabel.as_closest_canonical(nibabel.Nifti1Image(mask.astype(np.uint8), affine))
        turned = np.asarray(image.dataobj).astype(bool)
        height = image.affine[2, 2] * np.arange(turned.shape[2]) + image.affine[2, 3]
        return cls(turned, orientation, mask, height)

    def fill(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values `[V]` in the volume, NaN outside the mask."""
        import nibabel

        volume = np.full(self.original.shape, np.nan)
        volume[self.original] = values
        filled: NDArray[np.float64] = nibabel.apply_orientation(volume, self.orientation)
        return filled

    def slices(self) -> list[int]:
        """Up to `SLICES` axial slices, spread evenly over those that hold enough of the mask to be worth a look."""
        filled = self.mask.sum((0, 1))
        good = np.flatnonzero(filled >= 0.25 * filled.max())
        return list(good[np.unique(np.linspace(0, len(good) - 1, min(SLICES, len(good))).round().astype(int))])

    def window(self) -> tuple[float, float, float, float]:
        """Left, right, back and front edge of the mask in voxels, with a margin of one."""
        x, y = (np.flatnonzero(self.mask.any(axis)) for axis in ((1, 2), (0, 2)))
        return x[0] - 1.5, x[-1] + 1.5, y[0] - 1.5, y[-1] + 1.5


def best_ridge(maps: Mapping[str, NDArray[Any]]) -> str | None:
    """The map of the ridge whose mean r is highest; None without any."""
    return max((k for k in RIDGES if k in maps), key=lambda k: float(maps[k].mean()), default=None)


def rows_of(maps: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """The maps to show: model r, ceiling, model minus best ridge, weights; what is absent or empty is left out."""
    r, ridge = maps.get("r_group"), best_ridge(maps)
    rows = {"model r": r, "ceiling": maps.get("ceiling_group")}
    rows[GAIN] = None if r is None or ridge is None else r - maps[ridge]
    rows[WEIGHTS] = maps.get("weight_group")
    return {k: v for k, v in rows.items() if v is not None and np.isfinite(v).any()}


def limit(rows: Mapping[str, NDArray[np.float64]], name: str) -> float:
    """The colour limit of a row; r and ceiling share theirs."""
    alone = name in (GAIN, WEIGHTS)
    shared = [rows[name]] if alone else [v for k, v in rows.items() if k not in (GAIN, WEIGHTS)]
    values = np.abs(np.concatenate(shared))
    return max(float(np.nanpercentile(values, 99.5)), 1e-3)


@styled
def mosaic(maps: Mapping[str, NDArray[Any]], rows: Mapping[str, NDArray[np.float64]] | None = None) -> Figure:
    """Axial slices of each map (default: those of `rows_of`) with region outlines and a colour bar a row.

    The left of the brain is on the left.
    """
    volume = Volume.of(maps["mask"].astype(bool), maps["affine"])
    rows = rows_of(maps) if rows is None else rows
    chosen, window = volume.slices(), volume.window()
    fig = new_figure(7.6, 1.35 * len(rows) + 0.35)
    axes = fig.subplots(len(rows), len(chosen), squeeze=False)
    regions = None if "region" not in maps else volume.fill(maps["region"].astype(float))
    for line, (name, values) in zip(axes, rows.items(), strict=True):
        top, filled = limit(rows, name), volume.fill(values)
        for ax, z in zip(line, chosen, strict=True):
            shown = ax.imshow(
                filled[:, :, z].T, origin="lower", cmap=MAP_COLOURS, vmin=-top, vmax=top, interpolation="nearest"
            )
            _outline(ax, volume.mask[:, :, z], None if regions is None else regions[:, :, z])
            ax.set(xlim=window[:2], ylim=window[2:], xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(name)
        fig.colorbar(shown, ax=list(line), shrink=0.85, aspect=12, ticks=[-top, 0, top], format="%.2g")
    for ax, z in zip(axes[0], chosen, strict=True):
        ax.set_title(f"z {volume.height_mm[z]:.0f} mm", fontsize=8)
    for side, at in (("L", 0.0), ("R", 1.0)):
        axes[0, 0].text(at, 0, side, transform=axes[0, 0].transAxes, ha="center", fontsize=8, color=INK)
    _name_regions(fig, maps)
    return fig


def _outline(ax: Any, mask: NDArray[np.bool_], regions: NDArray[np.float64] | None) -> None:
    _contour(ax, mask, GREY, 0.5)
    if regions is None:
        return
    for k in np.unique(regions[mask]).astype(int):
        if k < OUTLINED:
            _contour(ax, regions == k, COLOURS[k % len(COLOURS)], 1.1)


def _contour(ax: Any, inside: NDArray[np.bool_], colour: str, width: float) -> None:
    """The exact edge of a set of voxels, along their faces."""
    if not inside.any():
        return
    from matplotlib.collections import LineCollection

    padded, edges = np.pad(inside, 1).astype(np.int8), []
    for axis, along in ((0, (0.0, 1.0)), (1, (1.0, 0.0))):
        start = np.argwhere(np.diff(padded, axis=axis)) - (np.array([0.5, 1.5]) if axis == 0 else np.array([1.5, 0.5]))
        edges.append(np.stack([start, start + along], axis=1))
    ax.add_collection(LineCollection(list(np.concatenate(edges)), colors=colour, linewidths=width), autolim=False)


def _name_regions(fig: Figure, maps: Mapping[str, NDArray[Any]]) -> None:
    from matplotlib.lines import Line2D

    names = [str(n) for n in maps.get("region_names", [])][:OUTLINED]
    if "region" in maps and names:
        lines = [Line2D([], [], color=COLOURS[k % len(COLOURS)]) for k in range(len(names))]
        fig.legend(lines, names, loc="outside lower center", ncols=min(len(names), 5), fontsize=8)


@styled
def parcels(maps: Mapping[str, NDArray[Any]]) -> Figure:
    """Model r of each parcel as bars, sorted, with the best ridge as dots and the ceiling as a line."""
    r, ceiling, ridge = maps.get("r_group"), maps.get("ceiling_group"), best_ridge(maps)
    assert r is not None
    sort_by = ceiling if ceiling is not None and np.isfinite(ceiling).any() else r
    order = np.argsort(-np.nan_to_num(sort_by, nan=-2), kind="stable")
    fig = new_figure(7.6, 2.8)
    ax, at = fig.add_subplot(), np.arange(len(r))
    ax.bar(at, r[order], width=1, color=BLUE, label="model r", linewidth=0)
    if ridge is not None:
        ax.plot(at, maps[ridge][order], ".", color=ORANGE, markersize=3, label=RIDGES[ridge])
    if sort_by is ceiling:
        ax.step(at, sort_by[order], where="mid", color=INK, linewidth=1, label="ceiling")
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.set_xlabel(f"{len(r)} parcels, sorted by {'ceiling' if sort_by is ceiling else 'r'}")
    ax.set_ylabel("r")
    fig.legend(loc="outside upper left", ncols=3, fontsize=8)
    return fig
