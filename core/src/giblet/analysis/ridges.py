"""The linear models that every report compares with: on free lags, and under the canonical response, for every row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.baselines import FOLDS, banded_ridge, fir_ridge, inner_folds
from giblet.analysis.joined import (
    Joined,
    Matrix,
    join,
    joined_cleaning,
    joined_codes,
    joined_scanned,
    require_people,
    without_confounds,
)
from giblet.analysis.scores import Mask
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.errors import DataError
from giblet.model import Codes
from giblet.model.hemodynamics import BASIS_STEP_S
from giblet.types import Float, Progress, silent

GROUP = "group"
"""The row of the mean over people."""
Predictions = dict[str, dict[str, Float]]


def under_hrf(x: Matrix, joined: Joined, slice_time_ref: float) -> Matrix:
    """Regressors [T, 3 P] under the canonical response at three delays, as the trunk's kernels begin; run by run.

    With a few hundred TRs a free response for every component (a lag a TR) explains little of new data.
    """
    delays_tr = np.array([-1, 0, 1]) * BASIS_STEP_S / joined.tr_s
    kernels = [canonical_hrf(joined.tr_s, slice_time_ref=slice_time_ref - d) for d in delays_tr]
    return np.concatenate([by_run(x, k, joined) for k in kernels], axis=1).astype(np.float32)


def by_run(x: Float, kernel: Float, joined: Joined) -> Float:
    """Regressors [T, P] convolved with a kernel, each run for itself."""
    return np.concatenate([convolve_hrf(x[run], kernel) for run in joined.runs])


def require_scores(timelines: Sequence[Timeline], subjects: Sequence[str], gap: int) -> None:
    """Refuse what could be trained, and then not be scored beside ridges: before it is trained.

    Raises
    ------
    DataError
        If of nobody enough test TRs were measured, or of somebody too few training TRs for the ridges' inner folds.
    """
    joined = join(timelines)
    for s in require_people(timelines, subjects):
        try:
            _timing(joined, joined_scanned(timelines, s), gap)
        except DataError as error:
            raise DataError(f"{s}: {error}; or --exclude {s}") from None


def ridge_predictions(
    timelines: Sequence[Timeline],
    codes: Codes,
    y: Mapping[str, Matrix],
    measured: Mapping[str, Mask],
    config: RunConfig,
    gap: int,
    slice_time_ref: float,
    applied: Collection[str],
    progress: Progress = silent,
) -> tuple[Predictions, list[str]]:
    """What each linear model predicts for every row of `y` [T, V], `{model: {row: [T, V]}}`, and notes.

    Rows that were measured at the same TRs are columns of one fit, and only those TRs are fitted. `hrf_group_r`, where
    there is a group mean, predicts everybody by what was fitted to it: people have more in common than a person's own
    data can teach.
    """
    joined = join(timelines)
    designs = _designs(timelines, codes, config, joined, slice_time_ref, applied)
    out: Predictions = {}
    fewest, groups = FOLDS, list(_together(y, measured))
    steps = count()
    for rows in groups:
        timing = _timing(joined, measured[rows[0]], gap) | {"clean": joined_cleaning(timelines, rows[0])}
        fewest = min(fewest, timing["folds"])
        stacked = np.concatenate([y[n] for n in rows], axis=1)
        edges = np.cumsum([0, *(y[n].shape[1] for n in rows)])
        for name, fit, features, settings in designs:
            progress("ridge regressions", next(steps), len(groups) * len(designs))
            made = fit(features, stacked, **timing, **settings).prediction
            found = out.setdefault(name, {})
            found |= {n: made[:, a:b] for n, a, b in zip(rows, edges, edges[1:], strict=False)}
    progress("ridge regressions", len(groups) * len(designs), len(groups) * len(designs))
    if GROUP in y:
        out["hrf_group_r"] = dict.fromkeys(y, out["hrf_banded_r"][GROUP])
    people = {n: [n] if n != GROUP else [s for s in y if s != GROUP] for n in y}
    out = {m: {n: without_confounds(timelines, people[n], x) for n, x in rows.items()} for m, rows in out.items()}
    return out, _fold_notes(fewest)


def _designs(
    timelines: Sequence[Timeline],
    codes: Codes,
    config: RunConfig,
    joined: Joined,
    slice_time_ref: float,
    applied: Collection[str],
) -> list[tuple[str, Any, Mapping[str, Float], dict[str, Any]]]:
    """Name, solver, features and settings of each linear model; components keep their sizes, drifts leave designs."""
    inputs, plain = joined_codes(codes.inputs), joined_codes(codes.summaries)
    hrf = {n: x if n in applied else under_hrf(x, joined, slice_time_ref) for n, x in inputs.items()}
    shared: dict[str, Any] = {"pca": None, "undelayed": applied}
    shared["n_lags"] = int(np.ceil(config.model.kernel_s / joined.tr_s)) + 1
    banded = shared | {"n_candidates": config.evaluate.banded_candidates, "seed": config.seed}
    return [
        ("ridge_r", fir_ridge, inputs, shared),
        ("banded_r", banded_ridge, inputs, banded),
        ("summary_ridge_r", fir_ridge, plain, shared),
        ("summary_banded_r", banded_ridge, plain, banded),
        ("hrf_banded_r", banded_ridge, hrf, banded | {"undelayed": list(hrf)}),
    ]


def _together(y: Mapping[str, Matrix], measured: Mapping[str, Mask]) -> Iterator[list[str]]:
    """Rows that were measured at the same TRs."""
    groups: dict[bytes, list[str]] = {}
    for name in y:
        groups.setdefault(measured[name].tobytes(), []).append(name)
    yield from groups.values()


def _timing(joined: Joined, measured: Mask, gap: int) -> dict[str, Any]:
    """The measured TRs by purpose, and as many inner folds as they allow."""
    train, validation = (t[measured[t]] for t in (joined.train, joined.validation))
    folds = inner_folds(train, joined.runs, gap)
    return {"train": train, "validation": validation, "runs": joined.runs, "gap": gap, "folds": folds}


def _fold_notes(folds: int) -> list[str]:
    few = f"training is short: the ridges' penalties come from {folds} inner folds instead of {FOLDS}"
    return [few] if folds < FOLDS else []
