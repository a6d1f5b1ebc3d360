"""The film beside what came back: side by side, players that run together, still frames, scores."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import DataError
from giblet.report import film_tables
from giblet.report.embedding import data_uri
from giblet.report.figures import save_png, svg
from giblet.report.markup import Html, Section, figure, html, paragraphs, tag
from giblet.report.run_folder import PREFERRED, RunFolder, label
from giblet.report.scores import score_tables
from giblet.report.stills import Frame, frames_at, moments, png, strip

SHORT = {"roundtrip": "round trip"}
SIDE_BY_SIDE = "side_by_side.mp4"
UNSEEN = "permuted"
"""A control that older runs have as a film, too: it looks like that from the measured scan."""
SOUNDS = {
    "reconstructed": "with the sound read back in the same way",
    "original": "with the original's sound",
    "none": "without sound",
}


def render(run: RunFolder) -> Section | None:
    """Players, strip of still frames and scores."""
    scores = run.metrics.get("video") or {}
    films = {c: path for c, path in run.reconstructions("video", ".mp4").items() if c != UNSEEN}
    parts = [
        _side_by_side(run),
        _gallery(run, films) if films else None,
        film_tables.quality(scores),
        film_tables.retrieval(scores.get("retrieval") or {}),
        score_tables(run, "video", metrics=False),
    ]
    return Section("video", "Film", html(parts)) if any(parts) else None


def _sound(run: RunFolder, film: str) -> str:
    """Which sound a film has, in words; nothing where the run does not say."""
    given = ((run.metrics.get("video") or {}).get("sound") or {}).get(film)
    return "" if given is None else SOUNDS[given]


def _notes(run: RunFolder, films: dict[str, Path]) -> list[str]:
    """Why films lack the original's sound, and which are not in the page."""
    why = ((run.metrics.get("video") or {}).get("sound") or {}).get("note")
    sound = f"The original's sound could not be had: {why}." if why else ""
    return [sound, run.embedder.note(list(films.values()))]


def _side_by_side(run: RunFolder) -> Html:
    """The film of all three, one beside the other."""
    path = run.path / "reconstructions" / SIDE_BY_SIDE
    stills = _stills(path, [0.0]) if path.is_file() else []
    if not stills:
        return Html()
    film = _film(run, path, png(stills[0]), "Film, original and reconstructions side by side")
    told = ", ".join(
        [
            "The original beside what was read from the predicted scan and from the measured scan",
            _sound(run, "side_by_side"),
        ]
    )
    return html(
        [tag("figure", film, tag("figcaption", f"{told.rstrip(', ')}.")), paragraphs(run.embedder.note([path]))]
    )


def _gallery(run: RunFolder, films: dict[str, Path]) -> Html:
    times = next((t for t in map(_moments, films.values()) if t), [])
    stills = {c: _stills(path, times) for c, path in films.items()}
    good = {c: frames for c, frames in stills.items() if frames}
    posters = {c: png(frames[len(frames) // 2]) for c, frames in good.items()}
    broken = [f"{path.name} cannot be read as a film." for c, path in films.items() if c not in good]
    whole = {c: path for c, path in films.items() if c in good}
    players = _players(run, whole, posters) if whole else Html()
    return html([players, paragraphs(*_notes(run, films), *broken), _strip(run, good, times)])


def _moments(path: Path) -> list[float]:
    try:
        return moments(path)
    except DataError:
        return []


def _stills(path: Path, times: list[float]) -> list[Frame]:
    try:
        return list(frames_at(path, times)) if times else []
    except DataError:
        return []


def _players(run: RunFolder, films: dict[str, Path], posters: dict[str, bytes]) -> Html:
    shown = [_player(run, c, path, posters[c]) for c, path in films.items()]
    choices = [tag("option", label(c), value=i) for i, c in enumerate(films)]
    bar = tag(
        "div",
        tag("button", "Play all", type="button"),
        tag("input", type="range", min="0", max="1000", value="0", step="any", aria_label="Position in all films"),
        tag("label", "Sound ", tag("select", *choices)),
        class_="transport",
        hidden=True,
    )
    return tag("div", bar, tag("div", *shown, class_="grid films"), data_together=True)


def _player(run: RunFolder, condition: str, path: Path, poster: bytes) -> Html:
    film = _film(run, path, poster, f"Film, {label(condition)}")
    return tag("figure", film, tag("figcaption", tag("b", label(condition)), f" {_sound(run, condition)}".rstrip()))


def _film(run: RunFolder, path: Path, poster: bytes, name: str) -> Html:
    shown = data_uri(poster, "image/png")
    source = run.embedder.source(path)
    return tag("video", src=source, poster=shown, controls=True, playsinline=True, preload="metadata", aria_label=name)


def _strip(run: RunFolder, stills: dict[str, list[Frame]], times: list[float]) -> Html:
    rows = {SHORT.get(c, c): frames for c, frames in stills.items() if c in PREFERRED}
    if not rows:
        return Html()
    drawing = strip(rows, times)
    save_png(drawing, run.path / "reconstructions" / "video" / "frames.png")
    alt = f"Still frames at {len(times)} moments: {', '.join(rows)}, one row each"
    return figure(
        svg(drawing, alt),
        "The same moments of a test block, one row a version; predicted, measured: from which scan.",
        "wide",
    )
