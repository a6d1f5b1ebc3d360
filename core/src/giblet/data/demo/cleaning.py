"""The cleaning that the demo's ceilings are stated after: one regression a block, no labels used."""

from __future__ import annotations

import numpy as np

from giblet.data.demo.schedule import TR_S, Float64, Plan

HIGH_PASS_HZ = 1 / 128


def nuisance(n_trs: int) -> Float64:
    """An orthonormal basis of the mean, the trend and all cosines slower than 1/128 Hz, [T, K]."""
    t = (np.arange(n_trs) + 0.5) / n_trs
    slow = [np.cos(np.pi * k * t) for k in range(1, int(2 * n_trs * TR_S * HIGH_PASS_HZ) + 1)]
    return np.asarray(np.linalg.qr(np.stack([np.ones(n_trs), 2 * t - 1, *slow], axis=1))[0])


def clean_blocks(x: Float64) -> Float64:
    """Clean series [R runs, T, V] block by block; the gaps between the split's blocks are blocks of their own."""
    out = np.array(x, np.float64)
    for run, first, last in Plan(len(x)).blocks:
        basis = nuisance(last - first)
        out[run, first:last] -= basis @ (basis.T @ out[run, first:last])
    return out
