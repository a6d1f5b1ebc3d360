"""The data contracts: arrays that travel with their clock.

Axis letters, used everywhere: `B` batch, `T` TRs, `F` native frames in a TR, `C` channels or codebooks, `D` latent,
`V` voxels or parcels, `N` native samples, `P` summary features; `*S` is the shape of one native frame.
Times are exact: an integer tick times a rational timebase. Floats appear only where a person reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError

Int = NDArray[np.int64]
Float = NDArray[np.floating[Any]]
Array = NDArray[Any]
Sampling = Literal["frames", "events"]
TemporalModule = Literal["mean", "multiscale", "hierarchical", "multiscale+hierarchical"]
"""What may pool the frames of a TR into its code (`giblet.nn.build_temporal`)."""
Temporal = Literal["own", "mean", "multiscale", "hierarchical", "multiscale+hierarchical"]
"""A plugin's setting `temporal`: the way that its net has of its own, or one of the modules."""
TEMPORAL_MODULES: tuple[str, ...] = get_args(Temporal)
"""The values of `temporal`, for those who choose among them."""
Progress = Callable[[str, int, int], None]
"""Called as `(stage, done, total)` while something long goes on."""


def silent(stage: str, done: int, total: int) -> None:
    """The `Progress` of work that nobody watches."""


EVENT_TIMEBASE = Fraction(1, 1_000_000)


def seconds(value: float | str | Fraction) -> Fraction:
    """The exact time that a person meant: 2.0045 is 4009/2000, not the nearest binary fraction.

    Raises
    ------
    DataError
        If the value is not a finite number.
    """
    try:
        return value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise DataError(f"{value!r} is not a time in seconds; give a finite number such as 1.5") from None


def positive_seconds(value: float | str | Fraction, what: str) -> Fraction:
    """The same of a length of time; `what` it is, for the error.

    Raises
    ------
    DataError
        If the value is not a finite number above 0.
    """
    found = seconds(value)
    if found <= 0:
        raise DataError(f"{what} of {float(found):g} s is not positive; give a time above 0")
    return found


@dataclass(frozen=True, slots=True)
class TRGrid:
    """The scanner's clock: TR k covers `[start_s + k * tr_s, start_s + (k + 1) * tr_s)` of stimulus time."""

    tr_s: Fraction
    n_trs: int
    start_s: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tr_s", seconds(self.tr_s))
        object.__setattr__(self, "start_s", seconds(self.start_s))
        if self.tr_s <= 0:
            raise DataError(f"a TR of {float(self.tr_s)} s is not positive; give the repetition time in seconds")
        if self.n_trs < 0:
            raise DataError(f"a grid cannot have {self.n_trs} TRs")

    @property
    def stop_s(self) -> Fraction:
        """The end of the last TR, in seconds of stimulus time."""
        return self.start_s + self.n_trs * self.tr_s

    def onsets_s(self) -> NDArray[np.float64]:
        """Where each TR begins, [T], in seconds of stimulus time."""
        return np.array([float(self.start_s + k * self.tr_s) for k in range(self.n_trs)])


@dataclass(frozen=True, slots=True)
class TableChoice:
    """Which columns of a spreadsheet hold onset, duration or end, and text, and which of its rows are meant.

    None takes the columns by their usual names; `rows=(start, stop)` counts from 0 below the header.
    """

    onset: str | None = None
    duration: str | None = None
    end: str | None = None
    text: str | None = None
    rows: tuple[int, int] | None = None


WHOLE_TABLE = TableChoice()
"""All rows, and the columns by their usual names."""


@dataclass(frozen=True, slots=True)
class ScanFiles:
    """How a scan is read, and what belongs to it beside its own file.

    `transposed` tables have one row a parcel (False: they surely have one a TR; None: nobody said); `variable` names
    the array of a .mat file; `right` is the right hemisphere where the scan's own file is the left one. `confounds` is
    a table with a row a volume, of which `confound_columns` are taken; none named: all of them.
    """

    transposed: bool | None = None
    variable: str | None = None
    right: Path | None = None
    confounds: Path | None = None
    confound_columns: tuple[str, ...] = ()


ALONE = ScanFiles()
"""A scan with nothing beside it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream of one file: picklable, so that a worker can extract it.

    `stream` names a stream inside the file ("0", "1", ... counted within its kind; "embedded" for captions in a film);
    None takes the file's own choice. `start_s` and `stop_s` cut it, in seconds of stimulus time. `table` chooses
    columns and rows where the file is a spreadsheet of annotations; `scan` says what belongs to a scan.
    """

    path: Path
    stream: str | None = None
    run: str | None = None
    subject: str | None = None
    start_s: Fraction | None = None
    stop_s: Fraction | None = None
    table: TableChoice = WHOLE_TABLE
    scan: ScanFiles = ALONE


@dataclass(frozen=True, slots=True, eq=False)
class Nuisance:
    """What moves a scan beside the brain: `regressors` [T, C] by their `names`, and volumes that are not to be used.

    `censored` [T] marks volumes before the steady state, or with too much motion.
    """

    regressors: Float
    names: tuple[str, ...]
    censored: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Native-rate features: `values` [N, *S]; sample n is presented at `ticks[n] * timebase` seconds.

    Events carry `durations` [N] in ticks. `attrs` holds what reconstruction needs and the samples do not say, such as
    `n_samples` and `rate_hz` of a sound, or `texts` of annotations (a list as long as N). What `align` adds may be
    arrays, such as the corpus that texts are looked for in; a trained model does not keep them.
    """

    values: Array
    ticks: Int
    timebase: Fraction
    durations: Int | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.values) != len(self.ticks):
            raise DataError(f"features have {len(self.values)} samples but {len(self.ticks)} times")

    @classmethod
    def regular(cls, values: Array, rate_hz: Fraction | int, first: int = 0, **attrs: Any) -> Features:
        """Features at a constant rate; `first` is the index of the first sample."""
        return cls(values, np.arange(first, first + len(values), dtype=np.int64), 1 / Fraction(rate_hz), attrs=attrs)

    @classmethod
    def events(cls, values: Array, onset_s: Iterable[float], duration_s: Iterable[float], **attrs: Any) -> Features:
        """Features of events, onset and duration in seconds, kept to the microsecond."""
        to_ticks = [np.rint(np.asarray(list(x), np.float64) / float(EVENT_TIMEBASE)) for x in (onset_s, duration_s)]
        return cls(values, to_ticks[0].astype(np.int64), EVENT_TIMEBASE, to_ticks[1].astype(np.int64), attrs)

    @property
    def onset_s(self) -> NDArray[np.float64]:
        """Presentation times in seconds, [N]."""
        return self.ticks.astype(np.float64) * float(self.timebase)

    def with_values(self, values: Array, **attrs: Any) -> Features:
        """The same clock with other values, [N, *]."""
        return replace(self, values=values, attrs={**self.attrs, **attrs})

    @staticmethod
    def concat(chunks: Iterable[Features]) -> Features:
        """Join chunks of one stream; list attributes as long as their chunk are joined, others are the last one's.

        Raises
        ------
        DataError
            If there is no chunk, or the chunks have different timebases.
        """
        parts = list(chunks)
        if not parts:
            raise DataError("the stream is empty: it gave no features at all")
        if len({p.timebase for p in parts}) > 1:
            raise DataError("the chunks of one stream must share one timebase")
        durations = [p.durations for p in parts]
        return Features(
            np.concatenate([p.values for p in parts]),
            np.concatenate([p.ticks for p in parts]),
            parts[0].timebase,
            None if durations[0] is None else np.concatenate([d for d in durations if d is not None]),
            join_attrs(parts),
        )


def join_attrs(parts: Iterable[Features]) -> dict[str, Any]:
    """The attributes of joined chunks: per-sample lists one after the other, everything else from the last chunk."""
    attrs: dict[str, Any] = {}
    for part in parts:
        for key, value in part.attrs.items():
            per_sample = isinstance(value, list) and len(value) == len(part.values)
            attrs[key] = [*attrs.get(key, []), *value] if per_sample else value
    return attrs


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Features on a TR grid: TR t holds native samples `first[t] : first[t] + count[t]` of `features`.

    Where only some samples are kept, `kept` [M] lists them in order, and `first` and `count` count in that list.
    Nothing is copied or averaged: the time course inside a TR is kept, and padding to the most frames of a TR happens
    when rows are read. A TR without samples has count 0 and is masked.
    """

    features: Features
    grid: TRGrid
    first: Int
    count: Int
    kept: Int | None = None

    @property
    def frames(self) -> int:
        """F, the most native frames in any TR."""
        return int(self.count.max(initial=0))

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which TRs have at least one sample, [T]."""
        return self.count > 0

    def places(self, trs: slice) -> slice | Int:
        """Where the samples of successive TRs lie in `features`: to index its values and ticks with."""
        first, count = self.first[trs], self.count[trs]
        start = int(first[0]) if len(first) else 0
        span = slice(start, start + int(count.sum()))
        return span if self.kept is None else self.kept[span]

    def rows(self, trs: Int | slice, frames: int | None = None) -> tuple[Array, NDArray[np.bool_]]:
        """Read TRs: values [n, F, *S], zero where there is no frame, and the mask [n, F] of frames that are there.

        Of a TR with more than `frames` of them, that many are read, evenly spread.
        """
        first, count = self.first[trs], self.count[trs]
        width = self.frames if frames is None else frames
        mask = np.arange(width) < count[:, None]
        out = np.zeros((len(first), width, *self.features.values.shape[1:]), self.features.values.dtype)
        values = self.features.values
        for row, (start, n) in enumerate(zip(first, count, strict=True)):
            if n > width:
                spread = start + ((np.arange(width) + 0.5) * n / width).astype(np.int64)
                out[row] = values[spread if self.kept is None else self.kept[spread]]
            else:
                span = slice(start, start + n)
                out[row, :n] = values[span if self.kept is None else self.kept[span]]
        return out, mask


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What one TR of a modality looks like: F frames of shape *S.

    Sizes are read off the data, never typed by hand. `num_classes` is set for discrete features, which are resampled
    by nearest, never averaged and never convolved. `hemodynamics="applied"` says that the values already carry an HRF.
    `tr_s` is the length of the TR in seconds, for nets that divide it into parts.
    """

    shape: tuple[int, ...]
    frames: int
    dtype: str = "float32"
    unit: str = "a.u."
    num_classes: int | None = None
    sampling: Sampling = "frames"
    hemodynamics: Literal["none", "applied"] = "none"
    tr_s: float | None = None

    @property
    def size(self) -> int:
        """The number of values in one frame."""
        return int(np.prod(self.shape, dtype=np.int64))
