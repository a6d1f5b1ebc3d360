"""Checkpoints: a folder a step, written whole or not at all, by one process or several, and read by any number.

The tensors are in the format of `torch.distributed.checkpoint`, to which every rank writes what it holds; all else is
in `position.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as read_tensors
from torch.distributed.checkpoint.state_dict_saver import save as write_tensors

from giblet.errors import DataError, GibletError
from giblet.training.ranks import Ranks

Like = Callable[[str, torch.Size, torch.dtype], Tensor]
"""An empty tensor for a key of a checkpoint, of this size and type."""
POSITION = "position.json"
DAMAGE = (OSError, ValueError, RuntimeError, CheckpointException)
"""What readers of a torn checkpoint say."""
TORN_PICKLE = (UnpicklingError, EOFError, AttributeError, ImportError, LookupError)
"""What pickle says beside these, in which torch lists a checkpoint's tensors."""


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], position: Mapping[str, Any]) -> None:
    """Write a checkpoint beside the last one, flush it to disk, put it in place, and throw the last one away.

    Raises
    ------
    GibletError
        If the disk is full or the folder cannot be written; the checkpoint before stays.
    """
    ranks, target, half = Ranks.here(), folder / f"step-{step:08d}", folder / f".step-{step:08d}"
    said = ranks.agreed(_reason_of(lambda: _make_room(half)) if ranks.rank == 0 else None)
    said = said or _reason_of(lambda: _write(half, tensors))
    said = ranks.agreed(said or (_reason_of(lambda: _put(half, target, position)) if ranks.rank == 0 else None))
    if said:
        shutil.rmtree(half, ignore_errors=True)
        raise GibletError(f"cannot write the checkpoint {target}: {said}; free space, then run the same command again")


def _make_room(half: Path) -> None:
    half.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(half, ignore_errors=True)


def _write(half: Path, tensors: Mapping[str, Tensor]) -> None:
    with _alone():
        write_tensors(dict(tensors), checkpoint_id=half)


def _put(half: Path, target: Path, position: Mapping[str, Any]) -> None:
    """Finish a checkpoint, put it in place, and throw all others away, half-written ones too."""
    with (half / POSITION).open("w", encoding="utf-8") as file:
        json.dump(position, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    half.replace(target)
    for other in target.parent.glob("*step-*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def _reason_of(work: Callable[[], None]) -> str | None:
    """Why a piece of work failed, in one line; None where it did not. All processes must hear of it."""
    try:
        work()
    except (OSError, RuntimeError, CheckpointException) as error:
        return _reason(error)
    return None


@contextmanager
def _alone() -> Iterator[None]:
    """Where there is no process group, torch warns that it takes this for the only process, which it is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield


def _reason(error: BaseException) -> str:
    """The first line that says why; a failure on some ranks is told rank by rank."""
    found = error
    if isinstance(error, CheckpointException):
        found = next(iter(error.failures.values()))[0]
    return str(found).splitlines()[0] if str(found) else type(found).__name__


def newest(folder: Path) -> Path | None:
    """The last checkpoint of a stage, or None, as the first process sees it."""
    return Ranks.here().agreed(max(folder.glob("step-*"), default=None))


def plain(key: str, size: torch.Size, dtype: torch.dtype) -> Tensor:
    """Any tensor, whole and on the CPU."""
    return torch.empty(size, dtype=dtype)


def load(path: Path, like: Like = plain) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by key and position of a checkpoint, however many processes wrote it.

    Raises
    ------
    DataError
        If it is damaged.
    """
    try:
        position: dict[str, Any] = json.loads((path / POSITION).read_text(encoding="utf-8"))
        known = FileSystemReader(path).read_metadata().state_dict_metadata
        kinds = {key: m for key, m in known.items() if isinstance(m, TensorStorageMetadata)}
        tensors = {key: like(key, m.size, m.properties.dtype) for key, m in kinds.items()}
        with _alone():
            read_tensors(tensors, checkpoint_id=path)
    except (*DAMAGE, *TORN_PICKLE) as error:
        raise DataError(f"the checkpoint {path} is damaged ({_reason(error)}); delete it and run again") from None
    return tensors, position
