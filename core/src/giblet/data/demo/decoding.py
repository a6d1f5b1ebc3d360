"""What an oracle that knows the true signal can read from test scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from giblet.data.demo.atlas import NETWORKS, make_atlas
from giblet.data.demo.brain import Person
from giblet.data.demo.cleaning import clean_blocks
from giblet.data.demo.neurons import PROCESSES
from giblet.data.demo.schedule import TEST, TEST_RUN, TR_S, Float64

MODALITY = dict(zip(PROCESSES, ("video", "audio", "text"), strict=True))
CLIP_TRS = 6
APART_S = 30.0
Triple = tuple[Float64, ...]


def decoding_table(people: list[Person], every: list[Triple], scale: list[Float64], shifted_s: float) -> dict[str, Any]:
    """Two-way identification of 9 s test clips by modality and region: the mean over people, and from the group mean.

    `every` holds cleaned scan, signal, noise and unshifted signal of each person, then of the group; `scale` the SD
    of each person's scan. The oracle knows of a shift.
    """
    parts = [{m: clean_blocks(p.parts[m])[TEST_RUN, TEST] for m in PROCESSES} for p in people]
    together = {m: np.mean([part[m] / s for part, s in zip(parts, scale, strict=True)], axis=0) for m in PROCESSES}
    delay_s = [float(np.mean(p.peak_s)) + shifted_s for p in people]
    tables = [
        _table(scan[TEST_RUN, TEST], noise[TEST_RUN, TEST].std(0), part, delay)
        for (scan, _, noise, _), part, delay in zip(
            every, [*parts, together], [*delay_s, float(np.mean(delay_s))], strict=True
        )
    ]
    return {"chance": 0.5, "subject_mean": _mean(tables[:-1]), "group": tables[-1], "clip_s": CLIP_TRS * TR_S}


def _mean(tables: list[dict[str, dict[str, float | None]]]) -> dict[str, dict[str, float | None]]:
    first = tables[0]
    return {m: {r: _average([t[m][r] for t in tables]) for r in first[m]} for m in first}


def _average(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _table(
    scan: Float64, noise_sd: Float64, parts: dict[str, Float64], delay_s: float
) -> dict[str, dict[str, float | None]]:
    network = make_atlas().of_voxel()
    regions = {name: network == name for name in NETWORKS[:4]} | {"all": network != ""}
    return {
        MODALITY[m]: {
            r: identify((scan / noise_sd)[:, v], (part / noise_sd)[:, v], delay_s) for r, v in regions.items()
        }
        for m, part in parts.items()
    }


def identify(scan: Float64, template: Float64, delay_s: float) -> float | None:
    """How often the scan of a clip fits its own template better than another clip's, both [T, V]; None without signal.

    Responses are read where the clip's hemodynamic peak falls; clips whose response leaves the block are left out.
    """
    if not np.abs(template).max() > 1e-9:
        return None
    delay = round(delay_s / TR_S)
    starts = np.arange(0, len(scan) - CLIP_TRS - delay + 1, CLIP_TRS)
    clips = starts[:, None] + delay + np.arange(CLIP_TRS)
    r = np.corrcoef(scan[clips].reshape(len(starts), -1), template[clips].reshape(len(starts), -1))
    r = r[: len(starts), len(starts) :]
    far = np.abs(starts[:, None] - starts) * TR_S >= APART_S + CLIP_TRS * TR_S
    return float((np.diag(r)[:, None] > r)[far].mean())
