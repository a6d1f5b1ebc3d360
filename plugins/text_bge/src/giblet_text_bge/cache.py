"""Embeddings by text on disk: files that are written once, whole or not at all, by any number of processes."""

from __future__ import annotations

import hashlib
import logging
import uuid
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from giblet.folders import cache_folder
from giblet.media import replacing
from numpy.typing import NDArray

LOG = logging.getLogger("giblet")
DAMAGE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy says of a torn archive."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors [N, D], and of how many parts each text was embedded [N]: 1 unless it was too long."""

    vectors: NDArray[np.float32]
    parts: NDArray[np.int64]


def through_cache(texts: Sequence[str], embedder: Sequence[str], compute: Callable[[list[str]], Embedded]) -> Embedded:
    """Embed each text once and for all: `embedder` names everything beside the text that its vector depends on.

    A damaged file is said, removed, and its texts are embedded again.
    """
    folder = cache_folder() / "embeddings" / _hash("\0".join(embedder))
    names = [_hash(text) for text in texts]
    known = _read(folder, set(names))
    new = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
    if new:
        made = compute(list(new.values()))
        _write(folder, list(new), made)
        known |= {name: (made.vectors[i], int(made.parts[i])) for i, name in enumerate(new)}
    rows = [known[name] for name in names]
    return Embedded(np.stack([v for v, _ in rows]), np.array([n for _, n in rows], np.int64))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _read(folder: Path, wanted: set[str]) -> dict[str, tuple[NDArray[np.float32], int]]:
    found = {}
    for path in sorted(folder.glob("[!.]*.npz")):  # what begins with a dot is being written
        for name, vector, parts in _rows(path):
            if name in wanted:
                found[name] = (vector, parts)
    return found


def _rows(path: Path) -> list[tuple[str, NDArray[np.float32], int]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: list[NDArray[Any]] = [archive[key] for key in ("names", "vectors", "parts")]
        return [(str(n), v, int(p)) for n, v, p in zip(*arrays, strict=True)]
    except FileNotFoundError:  # somebody else has just removed it
        return []
    except DAMAGE:
        LOG.warning("%s is damaged and was removed; its texts are embedded again", path)
        path.unlink(missing_ok=True)
        return []


def _write(folder: Path, names: list[str], made: Embedded) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{uuid.uuid4().hex}.npz") as part, part.open("wb") as file:
        np.savez(file, names=np.array(names), vectors=made.vectors, parts=made.parts)
