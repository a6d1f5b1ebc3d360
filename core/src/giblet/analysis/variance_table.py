"""Explained variance of every modality in every region: everybody's voxels, a table, and what holds over people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from giblet.analysis.baselines import blocked_folds, inner_folds
from giblet.analysis.inference import sign_flip
from giblet.analysis.joined import (
    Joined,
    Matrix,
    join,
    joined_cleaning,
    joined_codes,
    joined_scanned,
    joined_scans,
    scored_people,
    without_confounds,
)
from giblet.analysis.ridges import under_hrf
from giblet.analysis.scores import Mask, Real, is_constant
from giblet.analysis.variance import Shares, partition
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import DataError
from giblet.model import Codes
from giblet.types import Float, Progress, silent

COLUMNS = 20_000
"""Voxels, of several people, that are fitted at once; more only cost memory."""
ALL = "all"
ONE_PERSON = "one person: nothing can be said about people in general, so there is no p"


def variance_shares(
    timelines: Sequence[Timeline],
    codes: Codes,
    subjects: Sequence[str],
    config: RunConfig,
    gap: int,
    applied: Collection[str] = (),
    slice_time_ref: float = 0.5,
    progress: Progress = silent,
) -> tuple[dict[str, Shares], str]:
    """Explained variance of each person's test TRs by modality, from what the trunk reads.

    Without anything to divide, nobody's, and the reason in words.
    """
    joined = join(timelines)
    inputs = {n: x for n, x in joined_codes(codes.inputs).items() if not is_constant(x[joined.train]).all()}
    if len(inputs) < 2:
        return {}, f"only one modality varies ({', '.join(inputs)}): there is nothing to divide its variance between"
    bands = {n: x if n in applied else under_hrf(x, joined, slice_time_ref) for n, x in inputs.items()}
    fit = {"n_candidates": config.evaluate.variance_candidates, "seed": config.seed, "progress": progress}
    try:
        return _by_person(timelines, bands, subjects, joined, 0 if config.plumbing else gap, fit), ""
    except DataError as error:
        return {}, str(error)


def _by_person(
    timelines: Sequence[Timeline],
    bands: Mapping[str, Float],
    subjects: Sequence[str],
    joined: Joined,
    gap: int,
    fit: Mapping[str, Any],
) -> dict[str, Shares]:
    """People who were measured at the same TRs are fitted together; other TRs are neither fitted nor scored."""
    groups: dict[bytes, list[str]] = {}
    measured = {s: joined_scanned(timelines, s) for s in scored_people(timelines, subjects)}
    for s, there in measured.items():
        groups.setdefault(there.tobytes(), []).append(s)
    out: dict[str, Shares] = {}
    for people in groups.values():
        scans = [joined_scans(timelines, s) for s in people]
        trs = _trs(joined, measured[people[0]], gap)
        edges = np.cumsum([0, *(y.shape[1] for y in scans)])
        clean = joined_cleaning(timelines, people[0])
        mine = {n: clean(x) for n, x in bands.items()}
        rid = partial(_without_confounds, timelines, dict(zip(people, pairwise(edges), strict=True)))
        shares = _in_parts(mine, np.concatenate(scans, 1), rid, {**trs, **fit})
        out |= {s: _columns(shares, slice(a, b)) for s, a, b in zip(people, edges, edges[1:], strict=False)}
    return {s: out[s] for s in subjects if s in out}


def _trs(joined: Joined, measured: Mask, gap: int) -> dict[str, Any]:
    """Measured TRs by purpose, and the inner folds."""
    train, validation, rows = (t[measured[t]] for t in (joined.train, joined.validation, joined.test_trs))
    folds = blocked_folds(train, joined.runs, inner_folds(train, joined.runs, gap), gap)
    return {"train": train, "validation": validation, "rows": rows, "folds": folds}


def _without_confounds(
    timelines: Sequence[Timeline], columns: Mapping[str, tuple[int, int]], at: int, x: Float
) -> Float:
    """Predictions [T, V] for columns from `at` on, each person's rid of their own confounds."""
    out = x.copy()
    for subject, edges in columns.items():
        mine = slice(*(max(edge - at, 0) for edge in edges))
        out[:, mine] = without_confounds(timelines, [subject], x[:, mine])
    return out


def _in_parts(
    bands: Mapping[str, Float], y: Matrix, rid: Callable[[int, Float], Float], fit: Mapping[str, Any]
) -> Shares:
    """Some columns at a time."""
    starts = range(0, y.shape[1], COLUMNS)
    parts = [partition(bands, y[:, at : at + COLUMNS], rid=partial(rid, at), **fit) for at in starts]
    return Shares(
        np.concatenate([p.full for p in parts]),
        {n: np.concatenate([p.split[n] for p in parts]) for n in bands},
        {n: np.concatenate([p.unique[n] for p in parts]) for n in bands},
    )


def _columns(shares: Shares, at: slice) -> Shares:
    return Shares(
        shares.full[at], {n: v[at] for n, v in shares.split.items()}, {n: v[at] for n, v in shares.unique.items()}
    )


def variance_metrics(shares: Mapping[str, Shares], regions: Mapping[str, Mask], note: str, seed: int) -> dict[str, Any]:
    """The `variance` part of metrics.json: means over voxels and people, with a sign-flip test over people."""
    if not shares:
        return {"note": note}
    people, names = list(shares), list(next(iter(shares.values())).split)
    sizes = {len(s.full) for s in shares.values()}
    masks = {k: m for k, m in regions.items() if sizes == {len(m)} and m.any()}
    table = {region: _region(shares, names, mask) for region, mask in masks.items()}
    table[ALL] = _region(shares, names, None)
    return tested(table, seed) | {"note": "" if len(people) > 1 else ONE_PERSON}


def tested(table: dict[str, Any], seed: int) -> dict[str, Any]:
    """The table of regions with p in every cell, by sign flips over people; one person has none."""
    cells = [cell for row in table.values() for cell in row["modalities"].values()]
    people = list(cells[0]["people"])
    found: dict[str, Any] = {"n_people": len(people), "least_p": None, "regions": table}
    if len(people) < 2:
        return found
    test = sign_flip(np.array([[c["people"][s] for c in cells] for s in people]), seed)
    for cell, p, corrected in zip(cells, test.p, test.p_corrected, strict=True):
        cell |= {"p": float(p), "p_corrected": float(corrected)}
    return found | {"least_p": test.least_p}


def _region(shares: Mapping[str, Shares], names: Sequence[str], mask: Mask | None) -> dict[str, Any]:
    """Means over the voxels of a region, and over people."""

    def mean(values: Real) -> float:
        return float(values.mean() if mask is None else values[mask].mean())

    full = float(np.mean([mean(s.full) for s in shares.values()]))
    modalities: dict[str, Any] = {}
    for n in names:
        people = {who: mean(s.unique[n]) for who, s in shares.items()}
        split = float(np.mean([mean(s.split[n]) for s in shares.values()]))
        modalities[n] = {"unique": float(np.mean(list(people.values()))), "split": split, "people": people}
    unique = sum(m["unique"] for m in modalities.values())
    voxels = len(next(iter(shares.values())).full) if mask is None else int(mask.sum())
    return {"full": full, "shared": full - unique, "voxels": voxels, "modalities": modalities}


def variance_maps(shares: Mapping[str, Shares]) -> dict[str, Real]:
    """Means over people for `maps.npz`, [V] each; nothing where voxels are not the same places."""
    if not shares or len({len(s.full) for s in shares.values()}) > 1:
        return {}
    everybody = list(shares.values())
    maps = {"variance_full": np.mean([s.full for s in everybody], 0)}
    for n in everybody[0].split:
        maps[f"variance_unique_{n}"] = np.mean([s.unique[n] for s in everybody], 0)
        maps[f"variance_split_{n}"] = np.mean([s.split[n] for s in everybody], 0)
    return maps
