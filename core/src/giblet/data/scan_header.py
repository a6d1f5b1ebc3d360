"""What a scan's header and sidecar say of its clock; nothing that they leave open is guessed in silence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from giblet.data.naming import stem
from giblet.errors import ConfigError, DataError
from giblet.types import ALONE, ScanFiles, Source, seconds

UNITS = {"sec": Fraction(1), "msec": Fraction(1, 1000), "usec": Fraction(1, 1_000_000)}
STATED_S = (Fraction(1, 20), Fraction(30))
"""TRs that a header may state: from the fastest single-shot sequences to the sparsest sampling."""
LIKELY_S = (Fraction(1, 5), Fraction(10))
"""TRs that are taken for seconds where the header names no unit."""
AGREE_S = Fraction(1, 1000)
"""Header and sidecar are of one mind if they differ by less: headers are rounded to the millisecond."""
ASK = "give --tr SECONDS to decide"
Header = tuple[tuple[int, ...], Fraction | None, list[str]]
"""The shape that a file states, its TR, and what was assumed."""


@dataclass(frozen=True, slots=True)
class BoldInfo:
    """A scan by its header: `n_columns` is set for tables of parcels; `notes` say what was assumed."""

    shape: tuple[int, ...]
    n_volumes: int
    tr_s: Fraction | None
    slice_time_ref: float | None = None
    n_columns: int | None = None
    notes: tuple[str, ...] = ()


def refuse_for_images(path: Path, *settings: object, what: str = "") -> None:
    """Refuse settings of tables (transposed, variable, right) for a scan that is none.

    Raises
    ------
    ConfigError
        If one is set.
    """
    if any(settings) and not is_table(path):
        raise ConfigError(f"{what}transposed, variable and right are for tables; {path.name} is none")


def is_table(path: Path) -> bool:
    """Whether a scan is a table of parcels or vertices, `[time, columns]`, rather than an image."""
    from giblet.media import is_scan_table

    return is_scan_table(path)


def inspect_bold(path: Path, tr_s: Fraction | None = None, files: ScanFiles = ALONE) -> BoldInfo:
    """Shape, TR and slice time of a scan, from its header and the JSON sidecar beside it; `tr_s` overrules both.

    `files` says how a table is read.

    Raises
    ------
    DataError
        If the file is missing, broken or not four-dimensional, or its TR is zero, absurd, without a believable unit, or
        another one than its sidecar's; unless `tr_s` decides.
    """
    if not path.is_file():
        raise DataError(f"there is no scan {path}")
    sidecar = _sidecar(path)
    shape, stated, notes = (_table if is_table(path) else _image)(Source(path, scan=files), tr_s)
    said = None if tr_s is not None else _sidecar_tr(sidecar, path)
    tr = tr_s if tr_s is not None else _agreed(stated, said, path)
    reference = _slice_time_ref(sidecar, tr, path)
    columns = shape[1] if is_table(path) else None
    return BoldInfo(shape, shape[0] if is_table(path) else shape[3], tr, reference, columns, tuple(notes))


def _table(source: Source, tr_s: Fraction | None) -> Header:
    """A table says no TR, unless it is of a surface."""
    from giblet.media.scan_tables import scan_table_shape
    from giblet.media.surfaces import is_surface, surface_tr_s

    stated = surface_tr_s(source.path) if is_surface(source.path) else None
    differs = stated is not None and tr_s is not None and abs(stated - tr_s) >= AGREE_S
    notes = [f"the TR given, {float(tr_s or 0):g} s, was used; the header says {float(stated or 0):g} sec"]
    return scan_table_shape(source), None if tr_s is not None else stated, notes if differs else []


def _image(source: Source, tr_s: Fraction | None) -> Header:
    from giblet.media import open_image

    image = open_image(source.path)
    stated, notes = (None, list[str]()) if tr_s is not None else _header_tr(image.header, source.path)
    return tuple(map(int, image.shape)), stated, notes + _overruled(image.header, tr_s)


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _raw_tr(header: Any) -> tuple[Fraction | None, str]:
    """The number in the header, as it was meant (2.0045, not the nearest binary fraction), and its unit."""
    zooms = header.get_zooms()
    unit = "unknown"
    if hasattr(header, "get_xyzt_units"):
        try:
            unit = header.get_xyzt_units()[1]
        except KeyError:
            unit = "of no known code"
    value = zooms[3] if len(zooms) > 3 else np.float32(0)
    return (seconds(str(value)) if np.isfinite(value) and value > 0 else None), unit


def _header_tr(header: Any, path: Path) -> tuple[Fraction | None, list[str]]:
    """The TR in seconds, None where the header states none, and what was assumed."""
    raw, unit = _raw_tr(header)
    if raw is None:
        return None, []
    if unit in UNITS:
        tr = raw * UNITS[unit]
        if not STATED_S[0] <= tr <= STATED_S[1]:
            hint = "; are they milliseconds?" if unit == "sec" and raw > STATED_S[1] else ""
            raise DataError(f"{path} states a TR of {float(raw):g} {unit}, which no scanner has{hint}; {ASK}")
        return tr, []
    if unit != "unknown" or not LIKELY_S[0] <= raw <= LIKELY_S[1]:
        raise DataError(f"{path} states a TR of {float(raw):g} with a unit that is {unit}; {ASK}")
    return raw, [f"the header names no unit of time; its TR of {float(raw):g} was taken for seconds"]


def _overruled(header: Any, tr_s: Fraction | None) -> list[str]:
    if tr_s is None:
        return []
    raw, unit = _raw_tr(header)
    scale = {**UNITS, "unknown": Fraction(1)}.get(unit)
    if raw is not None and scale is not None and abs(raw * scale - tr_s) < AGREE_S:
        return []
    said = "no TR" if raw is None else f"{float(raw):g} {unit}" if unit in UNITS else f"{float(raw):g} (unit {unit})"
    return [f"the TR given, {float(tr_s):g} s, was used; the header says {said}"]


def _sidecar(path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{stem(path)}.json")
    if not beside.is_file():
        return {}
    try:
        content = json.loads(beside.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{beside} is no JSON: {_line(error)}") from None
    if not isinstance(content, dict):
        raise DataError(f"{beside} must hold a JSON object with keys such as RepetitionTime")
    return content


def _sidecar_tr(sidecar: dict[str, Any], path: Path) -> Fraction | None:
    value = sidecar.get("RepetitionTime")
    if value is None:
        return None
    if not _is_number(value) or not STATED_S[0] <= seconds(value) <= STATED_S[1]:
        raise DataError(f"the sidecar of {path} states a RepetitionTime of {value!r}; it is in seconds in BIDS; {ASK}")
    return seconds(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _agreed(header: Fraction | None, sidecar: Fraction | None, path: Path) -> Fraction | None:
    if header is not None and sidecar is not None and abs(header - sidecar) >= AGREE_S:
        raise DataError(
            f"{path} has a TR of {float(header):g} s in its header and of {float(sidecar):g} s in its sidecar; {ASK}"
        )
    return header if sidecar is None else sidecar


def _slice_time_ref(sidecar: dict[str, Any], tr_s: Fraction | None, path: Path) -> float | None:
    """When in its TR a volume was taken, 0 to 1: by name, by BIDS StartTime, or the middle of SliceTiming."""
    if "slice_time_ref" in sidecar:
        value = sidecar["slice_time_ref"]
        part = float(value) if _is_number(value) else np.nan
    elif tr_s is None:
        return None
    elif _is_number(sidecar.get("StartTime")):
        part = sidecar["StartTime"] / float(tr_s)
    elif isinstance(times := sidecar.get("SliceTiming"), list) and times and all(map(_is_number, times)):
        part = median(times) / float(tr_s)
    else:
        return None
    if not 0 <= part <= 1:
        raise DataError(
            f"the sidecar of {path} puts its slices at {part:g} of a TR; slice times are seconds within the TR"
        )
    return part
