"""How well scans are predicted: r beside ridge, ceilings and a null, by person, region and for the group mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.alignment import canonical_hrf
from giblet.analysis.bootstrap import Seed, bootstrap, interval, measured_pieces
from giblet.analysis.ceilings import Ceiling, ceiling_ratio, group_ceiling, loo_isc
from giblet.analysis.joined import (
    Joined,
    join,
    joined_codes,
    joined_predictions,
    joined_scanned,
    joined_scans,
    mean_of_present,
    scored_people,
)
from giblet.analysis.lag import Lag, scan_lag
from giblet.analysis.nulls import Null, fdr, mean_null, shift_null
from giblet.analysis.repeats import repeat_ceilings
from giblet.analysis.ridges import GROUP, by_run, ridge_predictions
from giblet.analysis.scores import Mask, pearson
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.shared_films import Films
from giblet.errors import DataError
from giblet.model import Codes, Scans
from giblet.model.losses import MIN_TRS_FOR_R
from giblet.types import Float, Progress, silent

Real = NDArray[np.float64]
LAG_GAP_S = 30.0


@dataclass(frozen=True, slots=True)
class BoldScores:
    """Held-out r [V] of each row (a person, or the group mean) by method, with ceilings, nulls and the lag.

    `draws` are the mean r of each method and person on resampled test blocks, [S, n], cut into `pieces` of 30 s
    in which somebody was measured; NaN where a draw has nothing of a person.
    """

    r: dict[str, dict[str, Real]]
    ceilings: dict[str, Ceiling]
    null: Null
    group_null: Null | None
    lag: Lag | None
    notes: list[str]
    draws: dict[str, Real]
    pieces: int = 0


def score_bold(
    timelines: Sequence[Timeline],
    codes: Codes,
    predicted: Scans,
    subjects: Sequence[str],
    config: RunConfig,
    gap: int,
    applied: Collection[str] = (),
    slice_time_ref: float = 0.5,
    films: Films | None = None,
    progress: Progress = silent,
) -> BoldScores:
    """Score predictions on the test blocks beside linear models of the same codes and of plain summaries.

    Who was hardly measured there is left out; a note says so. Where `films` tell that everybody saw the same test
    seconds again, that is what people's ceilings are made of.
    """
    joined, everybody = join(timelines), subjects
    subjects = scored_people(timelines, everybody)
    y = {s: joined_scans(timelines, s) for s in subjects}
    guess = {s: joined_predictions(predicted, s) for s in subjects}
    valid = {s: joined_scanned(timelines, s) for s in subjects}
    if _comparable(y):
        y[GROUP], valid[GROUP] = mean_of_present(y, valid, subjects)
        guess[GROUP], _ = mean_of_present(guess, valid, subjects)
    inner_gap = 0 if config.plumbing else gap
    timing = (inner_gap, slice_time_ref, applied)
    ridges, fold_notes = ridge_predictions(timelines, codes, y, valid, config, *timing, progress)
    methods = {"r": guess, **ridges}
    trs = joined.test_trs
    scores = {s: {m: pearson(p[s][trs], y[s][trs], valid[s][trs]) for m, p in methods.items()} for s in y}
    people = [s for s in y if s != GROUP]
    nulls = {s: _null(joined, guess[s], y[s], valid[s], config) for s in y}
    lag, notes = _lag(codes, y.get(GROUP, y[people[0]]), joined, config, applied, slice_time_ref)
    notes = [*fold_notes, *notes, *_untested([s for s in everybody if s not in subjects])]
    cut = measured_pieces(joined.test, joined.tr_s, [valid[s] for s in people])
    draws = bootstrap(methods, y, valid, people, cut, _draw_seed(config))
    null, ceilings = mean_null([nulls[s] for s in people]), _ceilings(y, valid, people, trs)
    if repeats := repeat_ceilings(timelines, films or {}, y, people):
        ceilings["people"] = repeats
    return BoldScores(scores, ceilings, null, nulls.get(GROUP), lag, notes, draws, len(cut))


def _untested(people: Sequence[str]) -> list[str]:
    who = ", ".join(people)
    return [f"not scored, for fewer than {MIN_TRS_FOR_R} of their test TRs were measured: {who}"] if people else []


def _draw_seed(config: RunConfig) -> Seed:
    """A fold draws pieces of its own: drawn alike in all of them, their errors would not average out."""
    fold = config.split.fold
    return config.seed if fold is None else (config.seed, fold)


def _comparable(y: Mapping[str, Float]) -> bool:
    """Whether voxel v is the same place in everybody, so that a group mean has a meaning."""
    return len(y) > 1 and len({x.shape for x in y.values()}) == 1


def _null(joined: Joined, guess: Float, y: Float, valid: Mask, config: RunConfig) -> Null:
    shifts, seed = config.evaluate.null_shifts, config.seed
    return shift_null(guess, y, joined.test, joined.tr_s, n=shifts, seed=seed, valid=valid)


def _ceilings(
    y: Mapping[str, Float], valid: Mapping[str, Mask], people: Sequence[str], trs: NDArray[np.int64]
) -> dict[str, Ceiling]:
    if GROUP not in y:
        none = Ceiling("none", None, "no ceiling: one person, or people whose voxels are not the same places")
        return {"people": none, GROUP: none}
    scans, there = np.stack([y[s][trs] for s in people]), np.stack([valid[s][trs] for s in people])
    return {"people": loo_isc(scans, there), GROUP: group_ceiling(scans, there)}


def _lag(
    codes: Codes, y: Float, joined: Joined, config: RunConfig, applied: Collection[str], slice_time_ref: float
) -> tuple[Lag | None, list[str]]:
    """How late the scans come, from plain features under a canonical HRF; None, with the reason, where none can tell.

    Those in `applied` are under a response already.
    """
    hrf = canonical_hrf(joined.tr_s, slice_time_ref=slice_time_ref)
    tables = joined_codes(codes.summaries)
    delayed = [x if n in applied else by_run(x, hrf, joined) for n, x in tables.items()]
    try:
        fold_gap = int(LAG_GAP_S / joined.tr_s)
        x = np.concatenate(delayed, axis=1)
        return scan_lag(x, y, joined.train, joined.runs, joined.tr_s, gap=fold_gap, seed=config.seed), []
    except DataError as error:
        return None, [f"the lag between film and scans was not estimated: {error}"]


def bold_metrics(scores: BoldScores, regions: Mapping[str, NDArray[np.bool_]], seed: int = 0) -> dict[str, Any]:
    """The `fmri` part of metrics.json; means over voxels, and over people for the first level."""
    people = [s for s in scores.r if s != GROUP]
    ceiling = scores.ceilings["people"]
    rows = {s: _row(scores.r[s], _of(ceiling, i)) for i, s in enumerate(people)}
    out: dict[str, Any] = {m: float(np.mean([scores.r[s][m].mean() for s in people])) for m in scores.r[people[0]]}
    out |= {"interval": list(interval(scores.draws["r"], seed)), "interval_pieces": scores.pieces}
    ridge = max((m for m in scores.draws if m != "r"), key=lambda m: out[m])
    out["gain"] = out["r"] - out[ridge]
    out["gain_interval"] = list(interval(scores.draws["r"] - scores.draws[ridge], seed))
    out |= {"training_mean_r": 0.0, "ceiling_kind": f"{ceiling.kind}: {ceiling.note}"}
    out["ceiling"] = None if ceiling.values is None else float(ceiling.values.mean())
    out["ceiling_ratio"] = _mean([row["ceiling_ratio"] for row in rows.values()])
    out |= {"null_p95": scores.null.p95, "null_kind": scores.null.kind, "p": scores.null.p}
    out |= {"lag_s": scores.lag.lag_s if scores.lag else None, "lag_flag": bool(scores.lag and scores.lag.misaligned)}
    out["subjects"] = rows
    if GROUP in scores.r and scores.group_null is not None:
        top = scores.ceilings[GROUP]
        out[GROUP] = _row(scores.r[GROUP], top.values) | {
            "ceiling_kind": f"{top.kind}: {top.note}",
            "null_p95": scores.group_null.p95,
            "p": scores.group_null.p,
            "significant": float(fdr(scores.group_null.map_p).mean()),
        }
    out["regions"] = region_rows({s: scores.r[s] for s in people}, ceiling.values, regions)
    return out


def region_rows(
    r: Mapping[str, Mapping[str, Real]], ceiling: Real | None, regions: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Any]:
    """Mean r over the voxels of each region [V], and over people, by method; with the mean of the ceilings [S, V].

    Regions without a voxel, and those that are not of everybody's voxels, are left out.
    """
    sizes = {len(v) for row in r.values() for v in row.values()}
    fitting = {n: m for n, m in regions.items() if sizes == {len(m)} and m.any()}
    methods = next(iter(r.values()))
    return {
        name: {m: float(np.mean([row[m][mask].mean() for row in r.values()])) for m in methods}
        | {"ceiling": None if ceiling is None else float(ceiling[:, mask].mean()), "voxels": int(mask.sum())}
        for name, mask in fitting.items()
    }


def _of(ceiling: Ceiling, person: int) -> Real | None:
    return None if ceiling.values is None else ceiling.values[person]


def _row(r: Mapping[str, Real], ceiling: Real | None) -> dict[str, Any]:
    row: dict[str, Any] = {m: float(v.mean()) for m, v in r.items()}
    row["ceiling"] = None if ceiling is None else float(ceiling.mean())
    row["ceiling_ratio"] = None if ceiling is None else ceiling_ratio(r["r"], ceiling)
    return row


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
