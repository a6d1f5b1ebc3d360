"""The folder of a run: what it was asked, what happened, and nothing half-written."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from giblet.data.written import read_object
from giblet.errors import ConfigError, DataError, GibletError

DESCRIBES = frozenset({"config.json", "inputs.json", "run.json", "study.json", "demo"})
"""What a folder holds before anything was trained: nothing that another run would lose."""
ASIDE = ".overwritten"
"""Where an old run waits to be thrown away, until the new one is opened (`giblet.pipeline.overwriting`)."""


@dataclass(frozen=True)
class RunFolder:
    """Paths and logs of one run; where it does not write, another process does."""

    path: Path
    writes: bool = True

    @classmethod
    def open(cls, path: Path, config: dict[str, Any], fingerprint: str) -> RunFolder:
        """Create the folder, or go on with it when it holds the same run, or one that has trained nothing yet.

        What was put aside in it is thrown away: from here on the folder is the new run's.

        Raises
        ------
        ConfigError
            If it holds another run, or something that is not a run.
        GibletError
            If it cannot be written.
        """
        folder = cls(path)
        _refuse_other(path, fingerprint)
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder.write_json("config.json", config)
            folder.write_json("run.json", {"fingerprint": fingerprint})
        except OSError as error:
            raise GibletError(f"cannot write to {path}: {error.strerror}; give another folder (--out)") from None
        shutil.rmtree(path / ASIDE, ignore_errors=True)
        return folder

    def write_json(self, name: str, value: Any) -> None:
        """Write JSON in one piece; what is not a finite number becomes null."""
        if not self.writes:
            return
        tmp = self.path / f".{name}"
        tmp.write_text(json.dumps(_plain(value), indent=1, allow_nan=False), encoding="utf-8")
        tmp.replace(self.path / name)

    def read_json(self, name: str) -> Any:
        """A JSON file of this run, or None.

        Raises
        ------
        DataError
            If it is damaged.
        """
        path = self.path / name
        return read_object(path) if path.exists() else None

    def log(self, row: dict[str, Any], name: str = "train.jsonl") -> None:
        """Append one line."""
        if not self.writes:
            return
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(_plain(row)) + "\n")

    def read_log(self, name: str = "train.jsonl") -> list[dict[str, Any]]:
        """Every line of a log so far; none if there is no such log."""
        path = self.path / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Log how long a stage took."""
        started = time.monotonic()
        yield
        self.log({"stage": name, "seconds": round(time.monotonic() - started, 2)}, "log.jsonl")


def _refuse_other(path: Path, fingerprint: str) -> None:
    """Refuse a folder of another run that has trained something, or of something that is no run."""
    held = [p.name for p in path.iterdir() if p.name != ASIDE] if path.is_dir() else []
    if "run.json" not in held:
        if path.exists() and (not path.is_dir() or any(n != "demo" and not n.startswith("fold-") for n in held)):
            raise ConfigError(f"{path} is not empty and is no run; give another folder (--out)")
    elif not set(held) <= DESCRIBES and _fingerprint(path / "run.json") != fingerprint:
        raise ConfigError(
            f"{path} holds another run (other settings, inputs or version); give another folder (--out), or "
            "overwrite it (--overwrite)"
        )


def _fingerprint(marker: Path) -> str | None:
    """Which run a folder holds; None where that is damaged."""
    try:
        return str(read_object(marker).get("fingerprint"))
    except DataError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
