"""Checks of `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from giblet.testing.case import Case
from giblet.testing.verdict import relative_error, require
from giblet.types import Features, Float, Source


def check_reconstruct_writes_a_file(case: Case) -> None:
    """What `reconstruct` names is there, is not empty, and is called `out` plus a suffix."""
    with TemporaryDirectory() as tmp:
        path = case.fitted.reconstruct(case.features, Path(tmp) / "made")
        require(path.is_file(), f"reconstruct wrote no file {path.name}")
        require(path.stat().st_size > 0, f"{path.name} is empty")
        named = path.name.startswith("made.") and path.parent == Path(tmp)
        require(named, f"reconstruct wrote {path.name}; put a suffix to `out`")


def check_reconstruct_comes_back(case: Case) -> None:
    """`extract` finds in what `reconstruct` wrote the same samples, as well as `round_trip` states."""
    want, limit = case.features, case.fitted.round_trip
    assert limit is not None
    with TemporaryDirectory() as tmp:
        got = case.extract(Source(case.fitted.reconstruct(case.features, Path(tmp) / "made")))
    n, m = len(want.values), len(got.values)
    require(n == m, f"reconstruct wrote {m} samples of {n}")
    step_s = np.diff(_from_first(want)).mean() if n > 1 else 0.0
    late = np.abs(_from_first(got) - _from_first(want)).max()
    require(late <= step_s / 2, f"samples come back up to {late:.3g} s off; write them at their own rate")
    error = relative_error(got.values, want.values, classes=case.spec.num_classes is not None)
    require(error <= limit, f"what comes back has a relative error of {error:.3g}; round_trip states {limit:g}")


def _from_first(features: Features) -> Float:
    """Seconds since the first sample, [N]."""
    return np.asarray((features.ticks - features.ticks[0]) * float(features.timebase))
