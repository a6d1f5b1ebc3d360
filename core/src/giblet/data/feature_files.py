"""One stream of features as a folder: a memory-mapped .npy beside its clock, there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from giblet.errors import DataError, GibletError, PluginError
from giblet.types import Array, Features

SIDECAR = "features.json"


def write_features(folder: Path, chunks: Iterable[Features], label: str, scratch: Path | None = None) -> None:
    """Stream chunks into `folder`, which appears only when everything is on disk; what another process wrote stays.

    Raises
    ------
    DataError
        If there were no chunks.
    PluginError
        If the chunks do not fit together, or carry attributes that are no plain values.
    GibletError
        If the disk is full or the folder cannot be written.
    """
    with appearing(folder, scratch) as tmp:
        _write_chunks(tmp, chunks, label)


@contextmanager
def appearing(folder: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A place to fill, which becomes `folder` when all is there; what another process has put there meanwhile stays.

    Until then it lies in `scratch`, a folder of the same disk, or else hidden beside `folder`.

    Raises
    ------
    GibletError
        If the folder cannot be written.
    """
    tmp = (scratch or folder.parent) / f".{folder.name}-{uuid.uuid4().hex}"
    with on_disk(folder.parent):
        tmp.mkdir(parents=True)
    try:
        yield tmp
        try:
            tmp.replace(folder)
        except OSError:
            with on_disk(folder.parent):
                if not is_written(folder):
                    raise
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def is_written(folder: Path) -> bool:
    """Whether `write_features` finished this folder."""
    return (folder / SIDECAR).is_file()


def mark_used(folder: Path) -> None:
    """Note that features were used now; what is read-only is never pruned, and need not know."""
    with suppress(OSError):
        os.utime(folder / SIDECAR)


def read_features(folder: Path) -> Features:
    """Features that `write_features` wrote; the values are a read-only memory map.

    Raises
    ------
    DataError
        If the folder was damaged since.
    """
    try:
        meta = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        values = np.load(folder / "values.npy", mmap_mode="r" if meta["mapped"] else None)
        durations = np.load(folder / "durations.npy") if meta["durations"] else None
        return Features(values, np.load(folder / "ticks.npy"), Fraction(meta["timebase"]), durations, meta["attrs"])
    except (OSError, ValueError, KeyError, DataError):
        raise DataError(
            f"the stored features in {folder} are damaged; delete that folder, they are made again"
        ) from None


@contextmanager
def on_disk(folder: Path) -> Iterator[None]:
    """Say of an error of the disk where it was, and the way out."""
    try:
        yield
    except OSError as error:
        why = error.strerror or "the disk may be full"
        raise GibletError(
            f"cannot write to {folder}: {why}; free space there, or name another folder in GIBLET_CACHE"
        ) from None


def _write_chunks(folder: Path, chunks: Iterable[Features], label: str) -> None:
    clocks: list[Features] = []
    like: Array | None = None
    with on_disk(folder.parent):
        file = (folder / "values.npy").open("wb")
    with file, ThreadPoolExecutor(1) as disk:
        write_back = _WriteBack(file, disk)
        for chunk in chunks:
            like = chunk.values[:0] if like is None else like
            _refuse_change(chunk, like, label)
            with on_disk(folder.parent):
                _append(file, chunk.values)
                write_back.go_on()
            clocks.append(chunk.with_values(np.zeros((len(chunk.values), 0))))
        if like is None:
            raise DataError(f"{label}: the stream is empty; give a file with at least one frame or event")
        whole = Features.concat(clocks)
        with on_disk(folder.parent):
            write_back.wait()
            write_header(file, len(whole.ticks), like)
            sync(file)
            _write_clock(folder, whole, label, mapped=0 not in (len(whole.ticks), *like.shape[1:]))


class _WriteBack:
    """Puts a file on the disk in a thread of its own while more is written, so that the end need not wait for all."""

    def __init__(self, file: BinaryIO, disk: Executor) -> None:
        self.file, self.disk = file, disk
        self.under_way: Future[None] | None = None

    def go_on(self) -> None:
        """Begin again where the last time is over, whose error is raised here."""
        if self.under_way is None or self.under_way.done():
            self.wait()
            self.under_way = self.disk.submit(os.fsync, self.file.fileno())

    def wait(self) -> None:
        """Raise the error of what is under way: the system tells it only once, to whoever asks first."""
        if self.under_way is not None:
            self.under_way.result()


def _refuse_change(chunk: Features, like: Array, label: str) -> None:
    now, before = (f"{v.dtype} {list(v.shape[1:])}" for v in (chunk.values, like))
    if now != before:
        raise PluginError(f"{label}: the chunks of one stream must be alike, but {now} came after {before}")


def _append(file: BinaryIO, values: Array) -> None:
    if file.tell() == 0:
        write_header(file, 0, values)
    np.ascontiguousarray(values).tofile(file)


def write_header(file: BinaryIO, n: int, like: Array) -> None:
    """Write or rewrite the header at the file's start; numpy leaves room for the first axis to grow."""
    file.seek(0)
    header = {"descr": npy.dtype_to_descr(like.dtype), "fortran_order": False, "shape": (n, *like.shape[1:])}
    npy.write_array_header_1_0(file, header)
    file.seek(0, os.SEEK_END)


def _write_clock(folder: Path, whole: Features, label: str, *, mapped: bool) -> None:
    """The times of all samples, then the sidecar."""
    for name, times in (("ticks", whole.ticks), ("durations", whole.durations)):
        if times is not None:
            with (folder / f"{name}.npy").open("wb") as file:
                np.save(file, times)
                sync(file)
    meta = {
        "label": label,
        "timebase": str(whole.timebase),
        "n_samples": len(whole.ticks),
        "durations": whole.durations is not None,
        "mapped": mapped,  # an empty array cannot be mapped
        "attrs": dict(whole.attrs),
    }
    with (folder / SIDECAR).open("wb") as file:
        file.write(_plain_json(meta, label).encode())
        sync(file)


def _plain_json(meta: dict[str, Any], label: str) -> str:
    try:
        return json.dumps(meta, default=_plain)
    except TypeError as error:
        raise PluginError(f"{label}: attrs must hold plain values (text, numbers, lists): {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path | Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} is none")


def sync(file: BinaryIO) -> None:
    """Put what was written on the disk."""
    file.flush()
    os.fsync(file.fileno())
