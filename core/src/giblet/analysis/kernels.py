"""The response that a trained model gives each voxel to its own preferred drive, and when it peaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.model import Autoencoder

Real = NDArray[np.float64]


def voxel_kernels(model: Autoencoder, subject: int) -> Real:
    """Each voxel's effective hemodynamic kernel, [V, L]: kernels weighted by the head, signed to respond positively."""
    outputs = model.hemodynamics.outputs
    with torch.no_grad():
        weight = (model.heads(subject, torch.eye(outputs)) - model.heads(subject, torch.zeros(1, outputs)))[:, 0]
        weight = weight.double().numpy()
        kernels = model.hemodynamics.kernels().double().numpy()
    units = model.hemodynamics.width
    weight = weight.reshape(units, outputs // units, -1)
    preferred = weight * np.sign(weight.sum(1, keepdims=True)) * np.abs(weight.sum(1, keepdims=True))
    return np.einsum("dkv,dkl->vl", preferred, kernels.reshape(units, outputs // units, -1))


def peak_s(kernel: Real, tr_s: float) -> float:
    """When a kernel [L] peaks, in seconds after the TR of the stimulus, between taps by a parabola."""
    i = int(kernel[1:-1].argmax()) + 1
    left, top, right = kernel[i - 1 : i + 2]
    bend = left - 2 * top + right
    return float((i + (0.5 * (left - right) / bend if bend < 0 else 0.0)) * tr_s)


def region_peaks(model: Autoencoder, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Mean peak over people of each region's kernel, in seconds; "all" is over all voxels."""
    found: dict[str, list[float]] = {}
    for k in range(len(model.subjects)):
        kernels = voxel_kernels(model, k)
        everything = {"all": np.ones(len(kernels), bool)}
        for name, mask in (everything | dict(regions)).items():
            if len(mask) == len(kernels):
                found.setdefault(name, []).append(peak_s(kernels[mask].mean(0), model.hemodynamics.tr_s))
    return {name: float(np.mean(v)) for name, v in found.items()}
