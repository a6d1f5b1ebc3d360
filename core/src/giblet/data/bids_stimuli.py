"""What was shown in the scans of a BIDS data set: what flags say, else the films that its events name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from giblet.data.assemble import make_stimulus
from giblet.data.bids_events import INSTEAD, Shown, annotations_of, events_of, shown_by
from giblet.data.bids_tree import Image, some
from giblet.data.flags import flag_stimuli, match, offsets_of
from giblet.data.naming import Named, entities_of, natural
from giblet.data.parts import Stimulus
from giblet.data.study_file import AnnotationsEntry, StimulusEntry
from giblet.errors import DataError
from giblet.types import seconds


@dataclass(frozen=True, slots=True)
class Given:
    """What flags say beside the data set."""

    film: Sequence[Path] = ()
    annotations: Sequence[str] = ()
    features: Sequence[tuple[str, Path]] = ()
    offset_s: Sequence[float | Fraction] = ()
    tr_s: Fraction | None = None
    exclude: Collection[str] = ()


def stimuli_of(
    named: Sequence[tuple[Named, Image]], root: Path, given: Given
) -> tuple[tuple[Stimulus, ...], dict[Path, tuple[str, Fraction]]]:
    """The stimuli, and which of them each scan saw from which time on: by flags, else by the events of the data set.

    Raises
    ------
    ConfigError
        If it is open what was shown.
    DataError
        If events or films are missing, or broken.
    """
    runs = sorted({n.run for n, _ in named}, key=natural)
    offsets = offsets_of(given.offset_s, runs)
    if given.film or given.annotations or given.features:
        stimuli = flag_stimuli(given.film, given.annotations, given.features)
        return stimuli, {i.path: (match(n, stimuli, runs).name, seconds(offsets[n.run])) for n, i in named}
    seen = _seen([i for _, i in named], root)
    films = list(dict.fromkeys(s.film for s in seen.values()))
    names = {film: _film_name(film, films) for film in films}
    stimuli = tuple(_stimulus(names[film], film) for film in films)
    stated = {i.path: seconds(offsets[n.run]) for n, i in named} if given.offset_s else {}
    return stimuli, {path: (names[s.film], stated.get(path, s.offset_s)) for path, s in seen.items()}


def _seen(images: Sequence[Image], root: Path) -> dict[Path, Shown]:
    """What the events of each scan say; all that lack them are named at once."""
    inherited = sorted(p for p in root.glob("*_events.tsv"))
    found = {i.path: events_of(i, root, inherited) for i in images}
    missing = [i.scan for i in images if found[i.path] is None]
    if missing:
        raise DataError(f"what was shown is unknown: {some(missing)} without events.tsv under {root}; {INSTEAD}")
    known = {events: shown_by(events, root) for events in dict.fromkeys(found.values()) if events is not None}
    return {path: known[events] for path, events in found.items() if events is not None}


def _film_name(film: Path, films: Sequence[Path]) -> str:
    name = entities_of(film.name).get("stim", film.stem)
    return name if [entities_of(f.name).get("stim", f.stem) for f in films].count(name) == 1 else film.name


def _stimulus(name: str, film: Path) -> Stimulus:
    table = annotations_of(film)
    annotations = None if table is None else AnnotationsEntry(path=str(table))
    return make_stimulus(StimulusEntry(name=name, film=film, annotations=annotations), Path.cwd())
