"""Checkpoints: written whole or not at all, and enough to go on exactly where a run was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from giblet.errors import GibletError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write state beside `path`, flush it to disk, and put it in place.

    Raises
    ------
    GibletError
        If the disk is full or the folder cannot be written; the checkpoint before stays.
    """
    tmp = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tmp.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        tmp.replace(path)
    except (OSError, RuntimeError) as error:
        tmp.unlink(missing_ok=True)
        raise GibletError(
            f"cannot write the checkpoint {path}: {error}; free space, then run the same command again"
        ) from None


def load(path: Path) -> dict[str, Any] | None:
    """The state at `path`, or None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
