"""Films and sounds inside the page, small enough to send around: sounds go in as MP3, films as they are."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import quote

FILE_LIMIT = 6_000_000
PAGE_LIMIT = 15_000_000
"""In base64 a third more: what mail servers let pass."""
TYPES = {".mp4": "video/mp4", ".wav": "audio/mpeg"}


def data_uri(content: bytes, media_type: str) -> str:
    """A data: address with the content in base64."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def mp3(path: Path) -> bytes:
    """A sound as MP3, a tenth of its size."""
    import soundfile

    samples, rate_hz = soundfile.read(path, dtype="float32")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="MP3")
    return buffer.getvalue()


class Embedder:
    """Hands out addresses of a run's files: in the page up to `FILE_LIMIT` bytes a file and `PAGE_LIMIT` in all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left = PAGE_LIMIT
        self.linked: list[str] = []

    def link(self, path: Path) -> str:
        """The file's address relative to the page."""
        return quote(path.relative_to(self.root).as_posix())

    def source(self, path: Path) -> str:
        """The file itself as a data: address or, where it is too large, a relative one, noted in `linked`."""
        content = mp3(path) if path.suffix.lower() == ".wav" else path.read_bytes()
        if len(content) > min(FILE_LIMIT, self.left):
            self.linked.append(path.relative_to(self.root).as_posix())
            return self.link(path)
        self.left -= len(content)
        return data_uri(content, TYPES[path.suffix.lower()])

    def note(self, paths: list[Path]) -> str:
        """A sentence about those of the files that are linked instead of embedded."""
        names = [n for n in (p.relative_to(self.root).as_posix() for p in paths) if n in self.linked]
        if not names:
            return ""
        return f"Too large for this page, so they play only while they lie beside it: {', '.join(names)}."
