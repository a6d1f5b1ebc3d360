"""Features on disk: one memory-mapped .npy a source and modality, found by what it was made from, never half-written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from giblet.errors import DataError, GibletError
from giblet.hookspecs import hookimpl
from giblet.types import Features, Source

if TYPE_CHECKING:
    from giblet.modality import Modality

LAYOUT = "1"


def default_folder() -> Path:
    """Where features are kept: GIBLET_CACHE, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("GIBLET_CACHE") or Path(home) / "giblet")


def content_hash(path: Path) -> str:
    """BLAKE2b of a file's bytes.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give a file that exists and is readable") from None


def modality_key(modality: Modality, version: str) -> dict[str, Any]:
    """What of a modality decides its features: name, version, settings and fitted state."""
    state = {k: hashlib.blake2b(np.ascontiguousarray(v).tobytes()).hexdigest() for k, v in modality.state.items()}
    return {"name": modality.name, "version": version, "settings": modality.settings(), "state": state}


def digest(parts: Any) -> str:  # noqa: ANN401
    """A short hash of plain values, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Store:
    """Answers `extract` from disk where it can, and writes what was computed (two stages of one pluggy plugin)."""

    def __init__(self, folder: Path, version_of: Callable[[str], str]) -> None:
        self.folder, self.version_of = folder, version_of
        self._hashes: dict[tuple[Path, int, int], str] = {}

    def key(self, modality: Modality, source: Source) -> str:
        """The name under which the features of this source are kept."""
        stat = source.path.stat()
        memo = (source.path, stat.st_size, stat.st_mtime_ns)
        if memo not in self._hashes:
            self._hashes[memo] = content_hash(source.path)
        cut = (source.stream, str(source.start_s), str(source.stop_s), source.path.suffix)
        return digest([LAYOUT, self._hashes[memo], cut, modality_key(modality, self.version_of(modality.name))])

    @hookimpl(tryfirst=True)
    def extract(self, modality: Modality, source: Source) -> Features | None:
        """Stored features, or None to let the modality compute them."""
        folder = self.folder / self.key(modality, source)
        return read_features(folder) if (folder / "features.json").is_file() else None


class StoreWriter:
    """The wrapping half of the store: streams what was computed to disk and hands on the memory map."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @hookimpl(wrapper=True)
    def extract(
        self, modality: Modality, source: Source
    ) -> Generator[None, Iterator[Features] | Features, Iterator[Features] | Features]:
        """Write chunks as they come; features that a store gave already are passed on."""
        result = yield
        if isinstance(result, Features) and isinstance(result.values, np.memmap):
            return result
        chunks = iter([result]) if isinstance(result, Features) else result
        folder = self.store.folder / self.store.key(modality, source)
        write_features(folder, chunks, label=f"{modality.name} of {source.path.name}")
        return read_features(folder)


def write_features(folder: Path, chunks: Iterator[Features], label: str) -> None:
    """Stream chunks into `folder`, which appears only when everything is on disk.

    Raises
    ------
    DataError
        If there were no chunks.
    GibletError
        If the disk is full or the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise GibletError(f"cannot write features to {folder.parent}: {error.strerror}; set GIBLET_CACHE") from None
    try:
        _write_chunks(tmp, chunks, label)
        with suppress(FileExistsError, OSError) if folder.exists() else suppress():
            tmp.replace(folder)
    except OSError as error:
        raise GibletError(f"cannot write features to {folder.parent}: {error.strerror}; free space or set GIBLET_CACHE") from None
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def _write_chunks(folder: Path, chunks: Iterator[Features], label: str) -> None:
    clocks: list[Features] = []
    with (folder / "values.npy").open("wb") as file:
        for chunk in chunks:
            values = np.ascontiguousarray(chunk.values)
            if not clocks:
                _header(file, 0, values)
            values.tofile(file)
            clocks.append(chunk.with_values(np.zeros((len(values), 0))))
        if not clocks:
            raise DataError(f"{label}: the stream is empty; give a file with at least one frame or event")
        whole = Features.concat(clocks)
        _header(file, len(whole.ticks), values)
        os.fsync(file.fileno())
    np.save(folder / "ticks.npy", whole.ticks)
    if whole.durations is not None:
        np.save(folder / "durations.npy", whole.durations)
    meta = {"label": label, "timebase": str(whole.timebase), "n_samples": len(whole.ticks), "attrs": dict(whole.attrs)}
    with (folder / "features.json").open("w", encoding="utf-8") as sidecar:
        json.dump(meta, sidecar, default=_plain)
        sidecar.flush()
        os.fsync(sidecar.fileno())


def _header(file: BinaryIO, n: int, values: np.ndarray) -> None:
    """Write or rewrite the header at the file's start; numpy leaves room for the first axis to grow."""
    file.seek(0)
    header = {"descr": npy.dtype_to_descr(values.dtype), "fortran_order": False, "shape": (n, *values.shape[1:])}
    npy.write_array_header_1_0(file, header)
    file.seek(0, os.SEEK_END)


def _plain(value: Any) -> Any:  # noqa: ANN401
    return value.item() if isinstance(value, np.generic) else value.tolist() if isinstance(value, np.ndarray) else str(value)


def read_features(folder: Path) -> Features:
    """Features that `write_features` wrote; the values are a read-only memory map."""
    meta = json.loads((folder / "features.json").read_text(encoding="utf-8"))
    path = folder / "values.npy"
    values = np.load(path, mmap_mode="r") if meta["n_samples"] else np.load(path)
    durations = np.load(folder / "durations.npy") if (folder / "durations.npy").exists() else None
    return Features(values, np.load(folder / "ticks.npy"), Fraction(meta["timebase"]), durations, meta["attrs"])
