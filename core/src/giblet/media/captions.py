"""Events with their own times: subtitle files, captions inside a film, and TextGrids."""

from __future__ import annotations

import html
import re
from fractions import Fraction
from pathlib import Path

from giblet.errors import DataError
from giblet.media.annotations import Events
from giblet.media.containers import AvObject, choose_stream, list_streams, open_container, streams_of
from giblet.media.spreadsheets import read_text

SILENCES = frozenset({"", "sp", "sil", "spn", "<sil>", "<eps>", "silence"})
"""Labels of silence that forced aligners write (Penn: sp; MFA: sil, spn)."""


def plain_text(marked: str) -> str:
    """A caption's words on one line: override blocks, tags (a tag that is never closed too) and entities resolved."""
    bare = re.sub(r"\{[^{}]*\}", "", marked)
    bare = re.sub(r"</?[A-Za-z][^<>]*(>|$)|<[\d:.]+>|</", "", bare)
    return " ".join(html.unescape(re.sub(r"\\[Nnh]", " ", bare)).split())


def read_subtitles(path: Path) -> Events:
    """Events of an srt, vtt, ass or ssa file, by pysubs2; in order of onset.

    Raises
    ------
    DataError
        If it is not UTF-8 or no subtitle file.
    """
    import pysubs2

    try:
        lines = pysubs2.SSAFile.from_string(read_text(path), format_=path.suffix.lower().lstrip("."))
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as err:
        raise DataError(f"{path} cannot be read as subtitles: {err}") from None
    shown = [x for x in lines if not x.is_comment and not x.is_drawing]
    onset, length = [x.start / 1000 for x in shown], [(x.end - x.start) / 1000 for x in shown]
    return Events(path, list(range(len(shown))), onset, length, [plain_text(x.text) for x in shown]).sort()


def read_embedded(path: Path, stream: str | None) -> Events:
    """Timed captions inside a film; which of its caption streams was read stands in the notes.

    Raises
    ------
    DataError
        If it has none, or they are pictures.
    """
    with open_container(path) as container:
        number, found = choose_stream(container, "subtitle", path, stream)
        note = f"captions from stream {number} of {len(streams_of(container, 'subtitle'))} ({found.codec_context.name})"
        events = Events(path, [], [], [], [], notes=[note])
        for packet in container.demux(found):
            text = _caption(path, found, packet) if packet.size else ""
            if text:
                unit = Fraction(packet.time_base)
                events.row.append(len(events.row))
                events.onset_s.append(float(packet.pts * unit))
                events.duration_s.append(float((packet.duration or 0) * unit))
                events.text.append(text)
    return events.sort()


def _caption(path: Path, stream: AvObject, packet: AvObject) -> str:
    shown = stream.codec_context.decode2(packet)
    rects = [] if shown is None else list(shown.rects)
    if any(r.type == b"bitmap" for r in rects):
        codec = stream.codec_context.name
        raise DataError(f"the captions of {path} are pictures ({codec}), not text; give them as a subtitle file")
    return plain_text("\n".join(r.dialogue.decode("utf-8", "replace") for r in rects))


def caption_streams(path: Path) -> list[str]:
    """The codecs of the caption streams of a film, in their order."""
    return [s.codec for s in list_streams(path, "subtitle")]


def read_textgrid(path: Path, stream: str | None) -> Events:
    """Labelled intervals (or points) of one tier of a TextGrid, by praatio; silences are left out and counted.

    The tier is the one that `stream` names, else the one called word or words, else the only one.

    Raises
    ------
    DataError
        If the file is no TextGrid, or the tier is not there or not clear.
    """
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    except (PraatioException, ValueError, IndexError, UnicodeError) as err:
        raise DataError(f"{path} cannot be read as a TextGrid: {' '.join(str(err).split())[:80]}") from None
    entries = [tuple(e) for e in grid.getTier(_tier(path, grid.tierNames, stream)).entries]
    labels = [str(e[-1]).strip() for e in entries]
    onset, length = [float(e[0]) for e in entries], [float(e[-2]) - float(e[0]) for e in entries]
    events = Events(path, list(range(len(entries))), onset, length, labels)
    return events.keep([t.casefold() not in SILENCES for t in labels], "of silence")


def _tier(path: Path, names: tuple[str, ...], stream: str | None) -> str:
    words = [n for n in names if n.casefold() in {"word", "words"} or n.casefold().endswith("- words")]
    chosen = [stream] if stream in names else [] if stream is not None else words[:1] or list(names)
    if len(chosen) != 1:
        asked = "no tier of words" if stream is None else f"no tier {stream!r}"
        raise DataError(f"{path} has {asked}; name one of its tiers by stream: {', '.join(names)}")
    return str(chosen[0])
