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
from giblet.testing.verdict import NothingTriedError, relative_error, require, require_same
from giblet.types import Features

CHUNK_BYTES = 64 << 20
CLOCK_SLACK_S = 0.5
"""How far the first sample may be from 0, and the last from the end: windows and codecs reach over it."""
SMALL_SHARE = 1 / 30
"""Of the readers' chunks: 30 s of sound become 1 s, 8 MB of pictures 0.3 MB."""
CHUNK_ERROR = 1e-6
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


def check_times_are_the_recordings(case: Case) -> None:
    """Of a recording that giblet made, the samples begin near 0 and end near its end."""
    length_s, features = case.seconds_of_example, case.features
    if length_s is None:
        raise NothingTriedError("only a film, sound or annotations that giblet makes have a length that is known")
    ends = features.ticks if features.durations is None else features.ticks + features.durations
    first_s, last_s = (float(int(t) * features.timebase) for t in (features.ticks.min(), ends.max()))
    begins = abs(first_s) <= CLOCK_SLACK_S
    stops = length_s - 2 * CLOCK_SLACK_S <= last_s <= length_s + CLOCK_SLACK_S
    where = f"samples lie from {first_s:.3g} to {last_s:.3g} s of a recording of {length_s} s"
    require(begins and stops, f"{where}; ticks times timebase are seconds from the file's start")


def check_values_are_finite(case: Case) -> None:
    """Missing is a mask, never a NaN."""
    values = case.features.values
    require(len(values), "the source gave no features")
    require(np.isfinite(values).all(), "features must be finite; leave missing samples out")


def check_chunks_do_not_matter(case: Case) -> None:
    """Read in chunks of a second or less, a recording gives the same values at the same times."""
    from giblet.media.chunk_size import smaller_chunks

    with smaller_chunks(SMALL_SHARE) as size:
        found = case.extract()
    if not size.asked:
        raise NothingTriedError("extract reads neither sound nor film with giblet.media")
    whole, classes = case.features, case.spec.num_classes is not None
    require(_times(found) == _times(whole), "smaller chunks give samples at other times; carry on from chunk to chunk")
    error = relative_error(found.values, whole.values, classes=classes)
    require(error <= CHUNK_ERROR, f"smaller chunks give other values (relative error {error:.3g}); use the whole")


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

    A cut may give more than asked for, or be refused by a DataError: where all is given or refused, nothing is tried.
    """
    whole, thirds = case.features, (1, 2)
    inner = [int(whole.ticks[len(whole.ticks) * i // 3]) * whole.timebase for i in thirds]
    try:
        cuts = [_cut(case, a, b) for a, b in pairwise([None, *inner, None])]
    except DataError as refusal:
        raise NothingTriedError(f"a cut is refused: {refusal}") from None
    if all(_times(cut) == _times(whole) for cut in cuts):
        raise NothingTriedError("extract gives the whole recording whatever start_s and stop_s are")
    joined = Features.concat([_inside(c, a, b) for c, (a, b) in zip(cuts, pairwise([None, *inner, None]), strict=True)])
    moved = "pieces (start_s, stop_s) have samples at other times than the whole; count time from the file's start"
    require(_times(joined) == _times(whole), moved)
    error = relative_error(joined.values, whole.values, classes=case.spec.num_classes is not None)
    far = "nothing may depend on what lies far away"
    require(error <= CUT_ERROR, f"pieces differ from the whole (relative error {error:.3g}); {far}")


def _cut(case: Case, start_s: Fraction | None, stop_s: Fraction | None) -> Features:
    """What a source that is cut gives."""
    return case.extract(replace(case.make_source(), start_s=start_s, stop_s=stop_s))


def _inside(found: Features, start_s: Fraction | None, stop_s: Fraction | None) -> Features:
    """The samples that are presented in [start_s, stop_s)."""
    inside = np.ones(len(found.ticks), bool)
    if start_s is not None:
        inside &= found.ticks >= -(-start_s // found.timebase)
    if stop_s is not None:
        inside &= found.ticks < -(-stop_s // found.timebase)
    durations = None if found.durations is None else found.durations[inside]
    return Features(found.values[inside], found.ticks[inside], found.timebase, durations)


def _times(features: Features) -> list[Fraction]:
    return [int(t) * features.timebase for t in features.ticks]
