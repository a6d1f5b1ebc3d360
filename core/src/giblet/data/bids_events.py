"""What people saw, by the events of a BIDS data set: `stim_file` names a film, its onset says when it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from giblet.data.bids_tree import Image
from giblet.data.naming import entities_of
from giblet.errors import ConfigError, DataError
from giblet.types import seconds

SHOWN = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wav", ".flac", ".ogg", ".mp3", ".m4a"})
INSTEAD = "give --film, --annotations or --features instead"


class Shown(NamedTuple):
    """A film, and the stimulus time at which volume 0 begins."""

    film: Path
    offset_s: Fraction


def events_of(image: Image, root: Path, inherited: Sequence[Path]) -> Path | None:
    """The events of a scan: beside the raw scan, or one at the root that holds for it; the one that says most."""
    entities = image.entities
    folders = [f"{k}-{entities[k]}" for k in ("sub", "ses") if k in entities]
    own = root.joinpath(*folders, "func", f"{image.scan}_events.tsv")
    if own.is_file():
        return own
    fitting = [(len(entities_of(p.name)), p) for p in inherited if entities_of(p.name).items() <= entities.items()]
    return max(fitting)[1] if fitting else None


def shown_by(events: Path, root: Path) -> Shown:
    """The one film that events name; BIDS counts its onset from volume 0, and its path from `stimuli`.

    Raises
    ------
    ConfigError
        If they name none, or more than one presentation of one film.
    DataError
        If the table is broken, or the film is missing.
    """
    rows = [r for r in _rows(events) if Path(r["stim_file"]).suffix.lower() in SHOWN]
    names = dict.fromkeys(r["stim_file"] for r in rows)
    if len(rows) != 1:
        said = "no film or sound in stim_file" if not rows else f"{len(rows)} presentations of {', '.join(names)}"
        raise ConfigError(f"{events} names {said}; {INSTEAD}")
    film = root / "stimuli" / next(iter(names)).removeprefix("stimuli/")
    if not film.is_file():
        raise DataError(f"{events} names the stimulus {film}, which is not there; put it back, or {INSTEAD}")
    return Shown(film, -_onset(rows[0], events))


def annotations_of(film: Path) -> Path | None:
    """The table of what happens in a film, `stim-X_annot-Y_events.tsv` beside `stim-X_audiovideo.mp4`.

    Raises
    ------
    ConfigError
        If there are several.
    """
    stim = entities_of(film.name).get("stim")
    found = sorted(film.parent.glob(f"stim-{stim}_annot-*_events.tsv")) if stim else []
    if len(found) > 1:
        said = ", ".join(p.name for p in found)
        raise ConfigError(f"{film} has several annotations ({said}); name film and annotations by flags")
    return found[0] if found else None


def _rows(events: Path) -> list[Mapping[str, Any]]:
    import csv

    try:
        with events.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{events} cannot be read as a table: {' '.join(str(error).split())}") from None
    return [r for r in rows if r.get("stim_file") not in (None, "", "n/a")]


def _onset(row: Mapping[str, Any], events: Path) -> Fraction:
    try:
        return seconds(str(row.get("onset")).strip())
    except DataError:
        raise DataError(f"{events}: the onset {row.get('onset')!r} is no number of seconds; correct it") from None
