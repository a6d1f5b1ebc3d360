"""Films and sounds inside the page, as long as they are small enough to send around."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

FILE_LIMIT = 12_000_000
PAGE_LIMIT = 80_000_000
TYPES = {".mp4": "video/mp4", ".wav": "audio/wav", ".png": "image/png"}


def data_uri(content: bytes, media_type: str) -> str:
    """A data: address with the content in base64."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


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
        size = path.stat().st_size
        if size > min(FILE_LIMIT, self.left):
            self.linked.append(path.relative_to(self.root).as_posix())
            return self.link(path)
        self.left -= size
        return data_uri(path.read_bytes(), TYPES[path.suffix.lower()])

    def note(self, paths: list[Path]) -> str:
        """A sentence about those of the files that are linked instead of embedded."""
        names = [n for n in (p.relative_to(self.root).as_posix() for p in paths) if n in self.linked]
        if not names:
            return ""
        return f"Too large for this page, so they play only while they lie beside it: {', '.join(names)}."
