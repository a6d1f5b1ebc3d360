"""The film beside what came back: players that run together, still frames, scores."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import DataError
from giblet.report.embedding import data_uri
from giblet.report.figures import save_png, svg
from giblet.report.markup import Html, Section, figure, html, paragraphs, tag
from giblet.report.run_folder import PREFERRED, RunFolder, label
from giblet.report.scores import score_tables
from giblet.report.stills import Frame, frames_at, moments, png, strip

SHORT = {"roundtrip": "round trip"}


def render(run: RunFolder) -> Section | None:
    """Players, strip of still frames and scores."""
    films = run.reconstructions("video", ".mp4")
    parts = [_gallery(run, films) if films else None, score_tables(run, "video")]
    return Section("video", "Film", html(parts)) if any(parts) else None


def _gallery(run: RunFolder, films: dict[str, Path]) -> Html:
    times = next((t for t in map(_moments, films.values()) if t), [])
    stills = {c: _stills(path, times) for c, path in films.items()}
    good = {c: frames for c, frames in stills.items() if frames}
    posters = {c: data_uri(png(frames[len(frames) // 2]), "image/png") for c, frames in good.items()}
    broken = [f"{path.name} cannot be read as a film." for c, path in films.items() if c not in good]
    whole = {c: path for c, path in films.items() if c in good}
    players = _players(run, whole, posters) if whole else Html()
    return html([players, paragraphs(run.embedder.note(list(films.values())), *broken), _strip(run, good, times)])


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


def _players(run: RunFolder, films: dict[str, Path], posters: dict[str, str]) -> Html:
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


def _player(run: RunFolder, condition: str, path: Path, poster: str) -> Html:
    film = tag(
        "video",
        src=run.embedder.source(path),
        poster=poster,
        controls=True,
        playsinline=True,
        preload="metadata",
        aria_label=f"Film, {label(condition)}",
    )
    return tag("figure", film, tag("figcaption", tag("b", label(condition))))


def _strip(run: RunFolder, stills: dict[str, list[Frame]], times: list[float]) -> Html:
    rows = {SHORT.get(c, c): frames for c, frames in stills.items() if c in PREFERRED}
    if not rows:
        return Html()
    drawing = strip(rows, times)
    save_png(drawing, run.path / "reconstructions" / "video" / "frames.png")
    alt = f"Still frames at {len(times)} moments: {', '.join(rows)}, one row each"
    return figure(svg(drawing, alt), "The same moments of a test block, one row a version.", "wide")
