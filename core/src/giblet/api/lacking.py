"""Films without pictures or sound: a kind that nobody asked for is left out and said, one that was is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from giblet.data.study import Stimulus, Study
from giblet.errors import DataError

WORDS = {"video": "pictures", "audio": "sound"}


def silent_kinds(study: Study, kinds: Collection[str], named: Collection[str]) -> dict[str, str]:
    """The kinds that the study's films lack and nobody named, each with the note that says it.

    Raises
    ------
    DataError
        If a film lacks a kind that was named, or that another film of the study has; or nothing else is left.
    """
    found = {kind: _without(study.stimuli, kind) for kind in WORDS if kind in kinds}
    lacking = {kind: stimuli for kind, stimuli in found.items() if stimuli}
    nothing_left = set(kinds) <= lacking.keys() and not any(s.features for s in study.stimuli)
    notes = {}
    for kind, stimuli in lacking.items():
        said = f"{', '.join(s.files[kind].name for s in stimuli)}: no {WORDS[kind]}"
        if kind in named or nothing_left or any(kind in s.streams for s in stimuli):
            raise DataError(f"{said}; give a film that has {WORDS[kind]}, or leave the kind out (--{kind} none)")
        if len(stimuli) < len(study.stimuli):
            raise DataError(
                f"{said}, but in other films of the study; every film must have what the model reads: give films with "
                f"{WORDS[kind]}, or leave the kind out (--{kind} none)"
            )
        notes[kind] = f"{said}; {kind} is left out"
    return notes


def _without(stimuli: Sequence[Stimulus], kind: str) -> list[Stimulus]:
    """Those whose file of a kind has no stream of it."""
    from giblet.media import audio_streams, video_streams

    streams = {"video": video_streams, "audio": audio_streams}[kind]
    return [s for s in stimuli if kind in s.files and not streams(s.files[kind])]
