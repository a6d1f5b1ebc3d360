"""Features are computed once: found on disk by what they were made from, else computed and kept there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from giblet.data.feature_files import is_written, mark_used, read_features, write_features
from giblet.errors import DataError
from giblet.folders import cache_folder
from giblet.hookspecs import hookimpl
from giblet.types import Array, Features, ScanFiles, Source

if TYPE_CHECKING:
    from giblet.modality import Modality
    from giblet.plugins import Registry

LAYOUT = "2"


def features_folder() -> Path:
    """Where the features of all runs are kept."""
    return cache_folder() / "features"


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


def by_content(value: Any, content: Callable[[Path], str] = content_hash) -> Any:
    """Plain settings in which what names a file is a hash of its bytes: the file's place does not count."""
    if isinstance(value, Mapping):
        return {k: by_content(v, content) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [by_content(v, content) for v in value]
    return content(Path(value)) if isinstance(value, str) and _is_file(value) else value


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long for a name
        return False


def modality_key(modality: Modality, version: str, content: Callable[[Path], str] = content_hash) -> dict[str, Any]:
    """What of a modality decides its features: name, version, settings (but those of the nets) and fitted state."""
    read = {name: array for name, array in modality.state.items() if name not in modality.net_state}
    state = {name: array_hash(array) for name, array in read.items()}
    settings = {k: v for k, v in modality.settings().items() if k not in modality.net_settings}
    told = by_content(settings, content)
    return {"name": modality.name, "version": version, "settings": told, "state": state}


def array_hash(array: Array) -> list[Any]:
    """What tells an array from others: dtype, shape and a hash of its values."""
    return [str(array.dtype), array.shape, hashlib.blake2b(np.ascontiguousarray(array).data).hexdigest()]


def digest(parts: Any) -> str:
    """A short hash of plain values, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Store:
    """Answers `extract` from disk where it can, and writes what was computed (two stages of one pluggy plugin)."""

    def __init__(self, folder: Path, version_of: Callable[[str], str]) -> None:
        self.folder, self.version_of = folder, version_of
        self._hashes: dict[tuple[Path, int, int], str] = {}

    def key(self, modality: Modality, source: Source) -> str:
        """The name under which the features of this source are kept: the file's bytes count, its place does not.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        chosen = (source.stream, str(source.start_s), str(source.stop_s), source.path.suffix.lower())
        cut = (*chosen, *astuple(source.table), *self._scan(source.scan))
        made_by = modality_key(modality, self.version_of(modality.name), self._content)
        return digest([LAYOUT, self._content(source.path), cut, made_by])

    def _scan(self, scan: ScanFiles) -> list[Any]:
        """What decides how a scan is read; what cleans it comes after the features."""
        return [bool(scan.transposed), scan.variable, None if scan.right is None else self._content(scan.right)]

    def _content(self, path: Path) -> str:
        """The hash of a file, computed again only when its size or time has changed."""
        if not path.is_file():
            raise DataError(f"there is no file {path}; correct the path")
        stat = path.stat()
        memo = (path, stat.st_size, stat.st_mtime_ns)
        if memo not in self._hashes:
            self._hashes[memo] = content_hash(path)
        return self._hashes[memo]

    @hookimpl(tryfirst=True)
    def extract(self, modality: Modality, source: Source) -> Features | None:
        """Stored features, or None to let the modality compute them."""
        folder = self.folder / self.key(modality, source)
        if not is_written(folder):
            return None
        mark_used(folder)
        return read_features(folder)


class StoreWriter:
    """The wrapping half of the store: streams what was computed to disk and hands on the memory map.

    It wraps closest to the modality, so that what other wrappers change is seen by the run and not kept. What is not
    finished lies in `scratch`, else beside what is.
    """

    def __init__(self, store: Store, scratch: Path | None = None) -> None:
        self.store, self.scratch = store, scratch

    @hookimpl(wrapper=True, trylast=True)
    def extract(self, modality: Modality, source: Source) -> Generator[None, Iterator[Features] | Features, Features]:
        """Write chunks as they come; features that the store gave are passed on."""
        result = yield
        if isinstance(result, Features):
            return result
        folder = self.store.folder / self.store.key(modality, source)
        write_features(folder, result, f"{modality.name} of {source.path.name}", self.scratch)
        return read_features(folder)


def open_store(registry: Registry, scratch: Path | None = None) -> Store:
    """Put the feature store behind the `extract` stage, once; `scratch` is where it keeps what is not finished."""
    if isinstance(store := registry.pm.get_plugin("giblet-store"), Store):
        return store
    store = Store(features_folder(), lambda name: registry.plugins[name].version)
    registry.pm.register(store, name="giblet-store")
    registry.pm.register(StoreWriter(store, scratch), name="giblet-store-writer")
    return store
