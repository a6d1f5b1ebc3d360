"""From when to when each stream of a stimulus goes, by what its file says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from giblet.errors import DataError
from giblet.media import audio_streams, read_annotations, read_series, video_streams
from giblet.modality import Modality
from giblet.pipeline.presentations import Run
from giblet.types import Source, seconds


@dataclass(frozen=True, slots=True)
class Extent:
    """One stream: what it is in words, where it begins and ends, and the spans that it fills, in stimulus seconds.

    `stop_s` is None and nothing is filled where only extraction can tell. Events have no `rate_hz`.
    """

    what: str
    start_s: Fraction = Fraction(0)
    stop_s: Fraction | None = None
    spans_s: tuple[tuple[Fraction, Fraction], ...] = ()
    rate_hz: float | None = None
    samples: int | None = None


def extent_of(run: Run, key: str, modality: Modality, tr_s: Fraction) -> Extent:
    """The extent of what a modality reads in a run.

    Raises
    ------
    DataError
        If the file is missing, or has no such stream.
    """
    source = run.sources[key]
    if key in run.stimulus.features:
        table = run.stimulus.features[key]
        return _table(source, table.start_s, table.tr_s or tr_s)
    if modality.kind == "text":
        return _events(source)
    if modality.kind in ("video", "audio"):
        return _film(source, modality.kind)
    return Extent(f"{source.path.name}: only extraction tells its length")


def _film(source: Source, kind: str) -> Extent:
    found = (video_streams if kind == "video" else audio_streams)(source.path)
    chosen = [s for s in found if (s.default if source.stream is None else str(s.index) == source.stream)]
    if not chosen:
        raise DataError(f"{source.path} has {len(found)} {kind} streams, and none is {source.stream or 'the default'}")
    s, place = chosen[0], f"{source.path.name}, stream {chosen[0].index} of {len(found)}"
    rate = s.rate_hz if kind == "video" else s.sample_rate_hz
    size = f"{s.width}x{s.height}" if kind == "video" else f"{s.channels} channels"
    spans = () if s.duration_s is None else ((Fraction(0), s.duration_s),)
    return Extent(f"{place}: {s.codec} {size}", Fraction(0), s.duration_s, spans, None if rate is None else float(rate))


def _events(source: Source) -> Extent:
    table = read_annotations(source)
    onsets = [seconds(str(round(float(t), 6))) for t in table.onset_s]
    ends = [on + seconds(str(round(float(d), 6))) for on, d in zip(onsets, table.duration_s, strict=True)]
    spans = tuple(zip(onsets, ends, strict=True))
    what = f"{source.path.name}: {len(onsets)} events"
    return Extent(what, min(onsets), max(ends), spans, samples=len(onsets))


def _table(source: Source, start_s: Fraction, tr_s: Fraction) -> Extent:
    rows, columns = read_series(source.path).shape
    stop_s = start_s + rows * tr_s
    what = f"{source.path.name}: {rows} rows of {columns} columns"
    return Extent(what, start_s, stop_s, ((start_s, stop_s),), float(1 / tr_s), rows)
