"""The response that a trained model gives each voxel to its own preferred drive, and when it peaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.model import Autoencoder, Model, members_of

Real = NDArray[np.float64]


def voxel_kernels(model: Model, subject: int) -> Real:
    """Each voxel's effective hemodynamic kernel, [V, L]: kernels weighted by the head, signed to respond positively.

    Those that nets learned; the closed form has the canonical one.
    """
    return np.sum([_member_kernels(m, subject) for m in members_of(model)], axis=0)


def _member_kernels(model: Autoencoder, subject: int) -> Real:
    outputs, units = model.hemodynamics.outputs, model.hemodynamics.width
    model.eval()
    with torch.no_grad():
        rows = torch.cat([torch.eye(outputs), torch.zeros(1, outputs)]).unsqueeze(1)
        response = model.net(rows, subject)[:, 0]
        weight = (response[:-1] - response[-1:]).double().numpy().reshape(units, outputs // units, -1)
        kernels = model.hemodynamics.kernels().double().numpy()
    preferred = weight * np.sign(weight.sum(1, keepdims=True)) * np.abs(weight.sum(1, keepdims=True))
    return np.einsum("dkv,dkl->vl", preferred, kernels.reshape(units, outputs // units, -1))


def peak_s(kernel: Real, tr_s: float) -> float:
    """When a kernel [L] peaks, in seconds after the TR of the stimulus, between taps by a parabola."""
    i = int(kernel[1:-1].argmax()) + 1
    left, top, right = kernel[i - 1 : i + 2]
    bend = left - 2 * top + right
    return float((i + (0.5 * (left - right) / bend if bend < 0 else 0.0)) * tr_s)


def region_peaks(model: Model, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Mean peak over people of each region's kernel, in seconds; "all" is over all voxels."""
    found: dict[str, list[float]] = {}
    tr_s = members_of(model)[0].hemodynamics.tr_s
    for k in range(len(model.subjects)):
        kernels = voxel_kernels(model, k)
        everything = {"all": np.ones(len(kernels), bool)}
        for name, mask in (everything | dict(regions)).items():
            if len(mask) == len(kernels):
                found.setdefault(name, []).append(peak_s(kernels[mask].mean(0), tr_s))
    return {name: float(np.mean(v)) for name, v in found.items()}


def way_counts(model: Model) -> dict[str, float]:
    """How much the net's prediction of scans counts, and that of the closed form, if there is one; over members."""
    counts = [m.encoding.get_buffer("counts").tolist() for m in members_of(model) if m.encoding is not None]
    return dict(zip(("net", "closed"), np.mean(counts, 0).tolist(), strict=True)) if counts else {"net": 1.0}


def person_delays(model: Model) -> dict[str, float]:
    """How much later than the average person each one's response comes, in seconds; {} where that is not known.

    As the closed form finds it where people share voxels, else as nets learned it.
    """
    members = members_of(model)
    found = members[0].encoding
    if found is not None and found.get_buffer("counts")[1] and found.get_buffer("delay_s").any():
        return dict(zip(model.subjects, found.get_buffer("delay_s").tolist(), strict=True))
    if any(m.delays is None for m in members):
        return {}
    known = [m.delays for m in members if m.delays is not None]
    trs = [[float(d.of(k).detach()) for d in known] for k in range(len(model.subjects))]
    return {s: float(np.mean(t)) * members[0].hemodynamics.tr_s for s, t in zip(model.subjects, trs, strict=True)}
