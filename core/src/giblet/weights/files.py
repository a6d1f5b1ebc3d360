"""What files of weights look like, how large they are, and what tells them from others."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from giblet.errors import WeightsError

MODELS = ("config.json", "modules.json")
"""One of these is in the folder of a model: of transformers, or of sentence-transformers."""
HOLDS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
OLD_PICKLE = b"\x80\x02"
"""How files begin that torch wrote before version 1.6."""
LEGAL = "give a file of weights (.safetensors, .pt) or the folder of a model (config.json beside its weights)"


def require_weights(path: Path) -> None:
    """Refuse what is no file of weights, and no folder of a model.

    Raises
    ------
    WeightsError
        Saying what is there instead.
    """
    if path.is_file():
        _require_file(path)
        return
    if not path.is_dir():
        raise WeightsError(f"there is nothing at {path}; {LEGAL}")
    near = [file for pattern in ("*", "*/*") for file in sorted(path.glob(pattern)) if file.is_file()]
    if not any(file.name in MODELS for file in near):
        raise WeightsError(f"{path} is no folder of a model: it has no {' or '.join(MODELS)}; {LEGAL}")
    weights = [file for file in near if file.suffix in HOLDS]
    if not weights:
        raise WeightsError(f"{path} has no weights ({', '.join(HOLDS)}); {LEGAL}")
    for file in weights:
        _require_file(file)


def _require_file(path: Path) -> None:
    if not (_is_safetensors(path) if path.suffix == ".safetensors" else _is_of_torch(path)):
        raise WeightsError(f"{path} holds no weights, or half of them; {LEGAL}")


def _is_safetensors(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return bool(list(file.keys()))
    except (SafetensorError, OSError):
        return False


def _is_of_torch(path: Path) -> bool:
    """A zip with pickled data, or a pickle; nothing is unpickled."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            return any(name.endswith("data.pkl") for name in file.namelist())
    with path.open("rb") as start:
        return start.read(2) == OLD_PICKLE


def n_bytes_of(path: Path) -> int:
    """The size of a file, or of all in a folder."""
    return sum(file.stat().st_size for file in _files(path))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, or over names and contents of all in a folder, in hexadecimal."""
    found = hashlib.sha256()
    for file in _files(path):
        if file != path:
            found.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    yield from [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
