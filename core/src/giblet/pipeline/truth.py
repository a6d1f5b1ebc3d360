"""How near a run comes to what a made-up world allows; only for studies that state their truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from giblet.pipeline.lesions import lesion_truth
from giblet.pipeline.verdict import RIDGES


def compare_with_truth(path: Path, metrics: Mapping[str, Any], units: int) -> dict[str, Any]:
    """The `truth` of metrics.json: prediction, responses, decoding and lesions beside those of an oracle.

    The truth of prediction is one of voxels: runs whose brain space has another number of `units` have none.
    """
    truth = json.loads(path.read_text(encoding="utf-8"))
    if truth["null"]:
        return {"null": True}
    voxels = len(next(iter(truth["subjects"].values()))["ceiling"])
    found = (_prediction(truth, metrics["fmri"]) if units == voxels else {}) | _decoding(truth, metrics)
    return found | hrf_errors(truth, metrics["fmri"]["hrf_peak_s"]) | lesion_truth(path, metrics["lesions"])


def _prediction(truth: Mapping[str, Any], fmri: Mapping[str, Any]) -> dict[str, float]:
    """Ceiling and oracles, means over people, and the share of the way from the best ridge to the oracle."""
    people = list(truth["subjects"].values())
    means = {k: float(np.mean([np.mean(p[k]) for p in people])) for k in ("ceiling", "oracle_r", "informed_r", "fir_r")}
    ridge = max(fmri[k] for k in RIDGES if k in fmri)
    gap = means["oracle_r"] - ridge
    shares = {"ratio_to_ceiling": fmri["r"] / means["ceiling"], "gap_share": (fmri["r"] - ridge) / gap}
    return means | shares


def _decoding(truth: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Two-way identification above chance from the group's scans, as a share of the oracle's.

    The oracle compares scans with what a process alone causes, as identification by encoding does; reading the
    features back asks for more.
    """
    read: dict[str, float] = {}
    encoded: dict[str, float] = {}
    for name, regions in truth["decoding"]["group"].items():
        found = metrics.get(name, {}).get("identification", {})
        for shares, two_way in ((read, found.get("two_way")), (encoded, found.get("by_encoding", {}).get("two_way"))):
            if two_way is not None:
                shares[name] = (two_way - 0.5) / (regions["all"] - 0.5)
    return {"two_way_share": read, "two_way_share_by_encoding": encoded}


def hrf_errors(truth: Mapping[str, Any], learned: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """How far each network's learned peak is from the true one, mean over people and parcels, in seconds.

    Beside it, how far it would be if all networks had the one peak that was learned for the whole brain.
    """
    peaks: dict[str, list[float]] = {}
    for person in truth["subjects"].values():
        for parcel, peak in person["hrf_peak_s"].items():
            peaks.setdefault(parcel.rpartition("_")[0], []).append(peak)
    true = {k: float(np.mean(v)) for k, v in peaks.items() if k in learned}
    alike = {k: abs(learned["all"] - peak) for k, peak in true.items()} if "all" in learned else {}
    return {"hrf_error_s": {k: abs(learned[k] - peak) for k, peak in true.items()}, "hrf_error_one_peak_s": alike}
