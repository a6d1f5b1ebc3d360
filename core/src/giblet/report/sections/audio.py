"""The sound beside what came back: players, spectrograms, scores."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import DataError
from giblet.report import sound_tables
from giblet.report.figures import svg
from giblet.report.markup import Html, Section, html, paragraphs, tag
from giblet.report.run_folder import RunFolder, label
from giblet.report.scores import score_tables
from giblet.report.sound import Levels, levels, spectrogram

SCALE = "Spectrograms share one scale: bright is loud, dark is 80 dB below the loudest."
BLIND = "Knowing what plays changes what is heard: giblet listen RUN makes a page that plays these sounds blind."


def render(run: RunFolder) -> Section | None:
    """Players with spectrograms, scores, and words that were heard."""
    sounds, scores = run.reconstructions("audio", ".wav"), run.metrics.get("audio") or {}
    parts = [
        _gallery(run, sounds) if sounds else None,
        sound_tables.quality(scores),
        sound_tables.words(scores.get("words") or {}),
        score_tables(run, "audio", metrics=False),
    ]
    return Section("audio", "Sound", html(parts)) if any(parts) else None


def _gallery(run: RunFolder, sounds: dict[str, Path]) -> Html:
    pictures = {c: _levels(path) for c, path in sounds.items()}
    top = max((float(p[0].max()) for p in pictures.values() if p), default=0.0)
    shown = [_player(run, c, sounds[c], p, top) for c, p in pictures.items() if p]
    broken = [f"{sounds[c].name} cannot be read as a sound." for c, p in pictures.items() if not p]
    notes = [SCALE, run.embedder.note(list(sounds.values())), *broken, BLIND if len(shown) > 1 else ""]
    return html([tag("div", *shown, class_="grid"), paragraphs(*notes)])


def _levels(path: Path) -> tuple[Levels, float] | None:
    try:
        return levels(path)
    except DataError:
        return None


def _player(run: RunFolder, condition: str, path: Path, picture: tuple[Levels, float], top_db: float) -> Html:
    name = label(condition)
    player = tag("audio", src=run.embedder.source(path), controls=True, preload="metadata", aria_label=f"Sound, {name}")
    drawing = svg(spectrogram(*picture, top_db), f"Spectrogram of the sound, {name}, {picture[1]:.0f} s, 0 to 8 kHz")
    return tag("figure", tag("figcaption", tag("b", name)), drawing, player)
