"""What the steps of a stage are made of before any network: nothing of it depends on weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from giblet.model import Counted, Host
from giblet.training.share import Rows

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class TRs:
    """TRs of a modality: values [n, F, *S], which frames are there [n, F], and by how many the loss is divided."""

    x: Host
    mask: Host
    frames: float


@dataclass(frozen=True, slots=True)
class FrontEndBatch:
    """The TRs of a step: all of them where they are augmented together, else the share's."""

    trs: TRs
    rows: Rows


@dataclass(frozen=True, slots=True)
class CompressorBatch:
    """Volumes of a share, [n, V], and their weight in the step's mean."""

    volumes: Host
    weight: float


@dataclass(frozen=True, slots=True)
class MeasuredWindows:
    """A person's BOLD in the windows of a share [B, L, V], which TRs count [B, L], and those of the whole batch."""

    subject: int
    y: Host
    valid: Host
    counted: Counted


@dataclass(frozen=True, slots=True)
class TrunkBatch:
    """Runs and what each goes without, where a share's windows lie in the runs end to end [B, L], and people."""

    left_out: Mapping[int, Sequence[str]]
    places: Host
    rows: Rows
    people: Sequence[MeasuredWindows]


@dataclass(frozen=True, slots=True)
class DrawnScan:
    """A scan that is read back [L, V], which TRs are there [L], and the predicted one in it, if gradients pass."""

    subject: str
    timeline: int
    trs: Host
    y: Host
    valid: Host
    predicted: Host | None


@dataclass(frozen=True, slots=True)
class CodeWindows:
    """A modality's scaled codes in the windows of a share [B, L, W'], which count [B, L], and how many in the batch."""

    target: Host
    mask: Host
    count: int


@dataclass(frozen=True, slots=True)
class MadeTRs:
    """TRs that are made in full: in which window of the share, at which of its TRs, and what they should be."""

    windows: list[int]
    places: list[int]
    trs: TRs
    rows: Rows


@dataclass(frozen=True, slots=True)
class DecoderBatch:
    """Scans that are read back, and what should come out of them, by modality."""

    rows: Rows
    people: Sequence[str]
    scans: Sequence[DrawnScan]
    codes: Mapping[str, CodeWindows]
    features: Mapping[str, MadeTRs]
    trunk: TrunkBatch | None


def each_array(data: Data, change: Callable[[NDArray[Any]], Any]) -> Data:
    """The same data with every array in it changed, in dataclasses, mappings and lists."""
    made: Any = data
    if isinstance(data, np.ndarray):
        made = change(data)
    elif is_dataclass(data) and not isinstance(data, type):
        made = replace(data, **{f.name: each_array(getattr(data, f.name), change) for f in fields(data)})
    elif isinstance(data, Mapping):
        made = {key: each_array(value, change) for key, value in data.items()}
    elif isinstance(data, list):
        made = [each_array(value, change) for value in data]
    return made
