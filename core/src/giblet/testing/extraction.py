"""Checks of `extract`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from giblet.data.feature_files import read_features, write_features
from giblet.errors import DataError
from giblet.testing.case import Case
from giblet.testing.verdict import relative_error, require, require_same
from giblet.types import Features

CHUNK_BYTES = 64 << 20
CUT_ERROR = 0.1
"""How much a cut may change features, as a share of their variance: windows reach over the edges of a cut."""


def check_extract_is_deterministic(case: Case) -> None:
    """The same source gives the same features, and is read only, never written."""
    source = case.make_source()
    before = _content(source.path)
    require_same(case.extract(source), case.features, "extract gave something else the second time")
    require(_content(source.path) == before, f"extract changed {source.path.name}; write to a temporary file instead")


def _content(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


def check_times_increase(case: Case) -> None:
    """Times are exact, integer ticks of a rational timebase, and never go back."""
    features = case.features
    require(features.ticks.dtype == np.int64, f"ticks must be int64, not {features.ticks.dtype}")
    require(isinstance(features.timebase, Fraction), f"timebase is {features.timebase!r}; give a Fraction of a second")
    require(features.timebase > 0, f"timebase is {features.timebase}; it must be positive")
    require(np.all(np.diff(features.ticks) >= 0), "presentation times go backwards; sort the samples")
    if features.durations is not None:
        whole = features.durations.dtype == np.int64 and np.all(features.durations >= 0)
        require(whole, "durations must be int64 and not negative")


def check_values_are_finite(case: Case) -> None:
    """Missing is a mask, never a NaN."""
    values = case.features.values
    require(len(values), "the source gave no features")
    require(np.isfinite(values).all(), "features must be finite; leave missing samples out")


def check_chunks_are_small(case: Case) -> None:
    """Memory does not grow with the film: a chunk has at most 64 MB."""
    largest = max(chunk.values.nbytes for chunk in case.chunks)
    require(largest <= CHUNK_BYTES, f"a chunk of {largest >> 20} MB; yield at most 64 MB at a time")


def check_features_survive_the_store(case: Case) -> None:
    """Features come back from disk as they were: chunks are alike, attributes are plain values."""
    with TemporaryDirectory() as tmp:
        folder = Path(tmp) / "features"
        write_features(folder, case.chunks, case.modality.name)
        stored = read_features(folder)
        require_same(stored, case.features, "the stored features differ")
        plain = dict(stored.attrs) == dict(case.features.attrs)
        require(plain, "attrs must hold plain values: text, numbers, lists")


def check_pieces_join_to_the_whole(case: Case) -> None:
    """Between its ends, a cut (`start_s`, `stop_s`) gives what the whole recording gives, however it is cut.

    A cut may give more than asked for, or be refused by a DataError.
    """
    whole, thirds = case.features, (1, 2)
    inner = [int(whole.ticks[len(whole.ticks) * i // 3]) * whole.timebase for i in thirds]
    try:
        joined = Features.concat([_piece(case, a, b) for a, b in pairwise([None, *inner, None])])
    except DataError:
        return
    moved = "pieces (start_s, stop_s) have samples at other times than the whole; count time from the file's start"
    require(_times(joined) == _times(whole), moved)
    error = relative_error(joined.values, whole.values, classes=case.spec.num_classes is not None)
    far = "nothing may depend on what lies far away"
    require(error <= CUT_ERROR, f"pieces differ from the whole (relative error {error:.3g}); {far}")


def _piece(case: Case, start_s: Fraction | None, stop_s: Fraction | None) -> Features:
    """The samples that are presented in [start_s, stop_s), of a source that is cut there."""
    found = case.extract(replace(case.make_source(), start_s=start_s, stop_s=stop_s))
    inside = np.ones(len(found.ticks), bool)
    if start_s is not None:
        inside &= found.ticks >= -(-start_s // found.timebase)
    if stop_s is not None:
        inside &= found.ticks < -(-stop_s // found.timebase)
    durations = None if found.durations is None else found.durations[inside]
    return Features(found.values[inside], found.ticks[inside], found.timebase, durations)


def _times(features: Features) -> list[Fraction]:
    return [int(t) * features.timebase for t in features.ticks]
