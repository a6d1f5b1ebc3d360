"""The response that a trained model gives each voxel to what it prefers, when it peaks, and how late people are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.analysis.lag import vertex
from giblet.model import Autoencoder, Model, members_of
from giblet.model.encoding import DELAYS_S, Encoding

Real = NDArray[np.float64]


def net_kernels(model: Autoencoder, person: int) -> Real:
    """Each voxel's hemodynamic kernel in the net, [V, L]: those of latent units, weighted by the head and signed to
    respond positively.
    """
    outputs, units = model.hemodynamics.outputs, model.hemodynamics.width
    model.eval()
    with torch.no_grad():
        rows = torch.cat([torch.eye(outputs), torch.zeros(1, outputs)]).unsqueeze(1)
        response = model.net(rows, person)[:, 0]
        weight = (response[:-1] - response[-1:]).double().numpy().reshape(units, outputs // units, -1)
        kernels = model.hemodynamics.kernels().double().numpy()
    preferred = weight * np.sign(weight.sum(1, keepdims=True)) * np.abs(weight.sum(1, keepdims=True))
    return np.einsum("dkv,dkl->vl", preferred, kernels.reshape(units, outputs // units, -1))


def closed_kernels(encoding: Encoding, person: int) -> Real:
    """Each voxel's hemodynamic kernel in closed form, [V, L]: responses at all delays, as its weights have them.

    A delay counts as much as the features that the voxel weighs there are those that it weighs in all. Features that
    are under a response already have none to tell.
    """
    basis = encoding.get_buffer("basis").double().reshape(len(DELAYS_S), encoding.width, -1)[:, : encoding.delayed]
    patterns = encoding.get_buffer(f"voxels_{person}").double()
    shares = (patterns * (basis.mT @ basis.sum(0) @ patterns)).sum(1)
    responses = encoding.responses(float(encoding.get_buffer("late_s")[person]))
    return (shares.T @ responses.double()).numpy()


def peak_s(kernel: Real, tr_s: float) -> float:
    """When a kernel [L] peaks, in seconds after the TR of the stimulus, between taps by a parabola."""
    i = int(kernel.argmax())
    return (i + vertex(kernel, i)) * tr_s


def region_peaks(model: Model, regions: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    """Mean peak over people of each region's response, in seconds; "all" is over all voxels.

    Net and closed form have one each, of the mean of the region's voxels, weighted by how strongly they respond; they
    count as much as in predicting scans. A region that is not predicted to respond is not there, and none is where no
    kernel was learned, or no modality is delayed by one.
    """
    found: dict[str, list[tuple[float, float]]] = {}  # peaks, and how much they count
    for member in members_of(model):
        tr_s, counts = member.hemodynamics.tr_s, member_counts(member)
        for k in range(len(model.subjects) if _learns(member, counts) else 0):
            for way, kernels in _kernels(member, k, counts):
                everything = {"all": np.ones(len(kernels), bool)}
                for name, mask in (everything | dict(regions)).items():
                    if len(mask) == len(kernels) and (mean := kernels[mask].mean(0)).any():
                        found.setdefault(name, []).append((peak_s(mean, tr_s), counts[way]))
    return {name: fmean(*zip(*v, strict=True)) for name, v in found.items()}


def predicted_peaks(peaks: Mapping[str, float], fmri: Mapping[str, Any]) -> dict[str, float]:
    """Those `region_peaks` whose region, and for "all" the brain, is predicted with an r above `null_p95`.

    What the weights of any other respond to is noise.
    """
    r = {"all": fmri["r"]} | {name: row["r"] for name, row in fmri["regions"].items()}
    return {name: peak for name, peak in peaks.items() if name not in r or r[name] > fmri["null_p95"]}


def _learns(member: Autoencoder, counts: Mapping[str, float]) -> bool:
    """Whether when voxels respond was learned, by nets or in closed form, and is what scans are predicted by."""
    net = counts["net"] and member.hemodynamics.delta is not None
    return bool(member.delayed and (net or counts.get("closed")))


def _kernels(member: Autoencoder, person: int, counts: Mapping[str, float]) -> Iterator[tuple[str, Real]]:
    """Of each way of predicting scans that counts: voxels' kernels [V, L]."""
    if counts["net"]:
        yield "net", net_kernels(member, person)
    if counts.get("closed") and member.encoding is not None:
        yield "closed", closed_kernels(member.encoding, person)


def member_counts(member: Autoencoder) -> dict[str, float]:
    """How much a net's prediction of scans counts, and that of the closed form beside it, if there is one."""
    if member.encoding is None:
        return {"net": 1.0}
    return dict(zip(("net", "closed"), member.encoding.get_buffer("counts").tolist(), strict=True))


def way_counts(model: Model) -> dict[str, float]:
    """`member_counts`, mean over members; all have a closed form, or none."""
    counts = [member_counts(m) for m in members_of(model)]
    return {way: float(np.mean([c[way] for c in counts])) for way in counts[0]}


def person_delays(model: Model) -> dict[str, float]:
    """How much later than the average person each one's response comes, in seconds; {} where that is not known.

    As the closed form finds it, where there is one that counts, else as nets learned it.
    """
    members = members_of(model)
    found = members[0].encoding
    if found is not None and found.get_buffer("counts")[1] and found.get_buffer("late_s").any():
        late_s = found.get_buffer("late_s")
        return dict(zip(model.subjects, (late_s - late_s.mean()).tolist(), strict=True))
    if any(m.delays is None for m in members):
        return {}
    known = [m.delays for m in members if m.delays is not None]
    trs = [[float(d.of(k).detach()) for d in known] for k in range(len(model.subjects))]
    return {s: float(np.mean(t)) * members[0].hemodynamics.tr_s for s, t in zip(model.subjects, trs, strict=True)}
