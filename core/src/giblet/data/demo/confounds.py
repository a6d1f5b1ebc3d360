"""What moves the demo's scans beside the brain, in the columns of fMRIPrep's table of confounds."""

from __future__ import annotations

import numpy as np

from giblet.data.demo.schedule import N_TRS, TR_S, Float64
from giblet.types import Array

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
TISSUE = ("csf", "white_matter")
HEAD_MM = 50.0
"""The radius by which framewise displacement turns radians into millimetres (Power et al. 2012,
doi:10.1016/j.neuroimage.2011.10.018)."""
SHARE = 0.7
"""SD of what is added to a voxel, as a share of the voxel's own SD."""
DECIMALS = 6
"""What is added is as precise as what the table says."""


def draw_confounds(rng: np.random.Generator) -> dict[str, Float64]:
    """Columns [T] by name: six of motion that wander and jump, two of tissue, what fMRIPrep makes of them, cosines."""
    steps = (
        rng.standard_normal((N_TRS, 6)) * 0.02 + (rng.random((N_TRS, 1)) < 0.01) * rng.standard_normal((N_TRS, 6)) * 0.3
    )
    motion = np.cumsum(steps, axis=0) / np.array([1, 1, 1, HEAD_MM, HEAD_MM, HEAD_MM])
    tissue = np.cumsum(rng.standard_normal((N_TRS, 2)), axis=0) * 0.2 + rng.standard_normal((N_TRS, 2))
    table = dict(zip((*MOTION, *TISSUE), np.concatenate([motion, tissue], axis=1).round(DECIMALS).T, strict=True))
    for name in (*MOTION, *TISSUE):
        change = np.diff(table[name], prepend=np.nan)
        table |= {f"{name}_derivative1": change, f"{name}_power2": table[name] ** 2}
        table[f"{name}_derivative1_power2"] = change**2
    return table | {"framewise_displacement": _displacement(motion)} | _cosines()


def mix(rng: np.random.Generator, scan: Array, table: dict[str, Float64]) -> Array:
    """Scans [V, T] with motion and tissue added, in each voxel by weights of its own."""
    parts = np.stack([table[name] for name in (*MOTION, *TISSUE)])
    parts = (parts - parts.mean(1, keepdims=True)) / parts.std(1, keepdims=True)
    weights = rng.standard_normal((len(scan), len(parts)))
    weights *= SHARE * scan.std(1, keepdims=True) / np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(scan + weights @ parts, scan.dtype)


def of_scan(scan: Array) -> dict[str, Float64]:
    """The mean over the head and how much a scan [V, T] changes from volume to volume, over its median, [T] each."""
    change = np.sqrt(np.square(np.diff(scan, axis=1)).mean(0))
    return {"global_signal": scan.mean(0), "std_dvars": np.concatenate([[np.nan], change / np.median(change)])}


def _displacement(motion: Float64) -> Float64:
    """How far the head moved since the volume before, [T], in millimetres; nothing is known of the first."""
    change = np.abs(np.diff(motion, axis=0)) * np.array([1, 1, 1, HEAD_MM, HEAD_MM, HEAD_MM])
    return np.concatenate([[np.nan], change.sum(1)])


def _cosines() -> dict[str, Float64]:
    """The cosines slower than 1/128 Hz that fMRIPrep lists, [T] each."""
    t = (np.arange(N_TRS) + 0.5) / N_TRS
    return {f"cosine{k - 1:02d}": np.cos(np.pi * k * t) for k in range(1, int(2 * N_TRS * TR_S / 128) + 1)}
