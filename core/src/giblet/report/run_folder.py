"""What a run left behind, read without the modules that wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from giblet.data.written import read_arrays, read_object
from giblet.errors import DataError
from giblet.report.embedding import Embedder
from giblet.report.legend import VERSIONS

PREFERRED = ("original", "features", "roundtrip", "predicted", "measured")
GENERAL = frozenset(
    {
        "summary",
        "warnings",
        "study",
        "command",
        "seed",
        "versions",
        "fmri",
        "smuggling",
        "lesions",
        "truth",
        "variance",
        "folds",
        "machine",
    }
)


def label(condition: str) -> str:
    """What a reader calls a condition, `lesion-visual` for example."""
    return VERSIONS.get(condition, condition.replace("lesion-", "lesion: ", 1))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's files; what the run did not write is empty. `maps` holds arrays by name."""

    path: Path
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    inputs: Mapping[str, Any]
    model: Mapping[str, Any]
    log: list[dict[str, Any]]
    train: list[dict[str, Any]]
    maps: Mapping[str, NDArray[Any]]
    embedder: Embedder

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """Read a run folder.

        Raises
        ------
        DataError
            If there are no metrics, or a file is not what its name says.
        """
        path = Path(path)
        if not (path / "metrics.json").is_file():
            raise DataError(f"{path} has no metrics.json to report on; finish the run first: giblet run --out {path}")
        return cls(
            path,
            metrics=_object(path / "metrics.json"),
            config=_object(path / "config.json"),
            inputs=_object(path / "inputs.json"),
            model=_object(path / "model/model.json") or _object(path / "fold-1/model/model.json"),
            log=_lines(path / "log.jsonl"),
            train=_lines(path / "train.jsonl"),
            maps=_arrays(path / "maps.npz"),
            embedder=Embedder(path),
        )

    def kinds(self) -> list[str]:
        """Kinds of stimulus that were scored or reconstructed: video, audio and text first."""
        scored = [k for k, v in self.metrics.items() if k not in GENERAL and isinstance(v, dict)]
        folder = self.path / "reconstructions"
        made = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
        usual = ["video", "audio", "text"]
        found = dict.fromkeys(scored + made)
        return [k for k in usual if k in found] + [k for k in found if k not in usual]

    def reconstructions(self, kind: str, suffix: str | None = None) -> dict[str, Path]:
        """Files of a kind by condition, the four usual conditions first."""
        folder = self.path / "reconstructions" / kind
        files = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
        kept = [p for p in files if not p.name.startswith(".") and p.name != "frames.png"]
        found = {p.stem: p for p in kept if suffix in (None, p.suffix)}
        order = [c for c in PREFERRED if c in found] + [c for c in found if c not in PREFERRED]
        return {c: found[c] for c in order}


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_object(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [_parsed(path, line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as err:
        raise DataError(f"{path} is not JSON ({err}); delete it and run again to write it anew") from None


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        return {}
    return read_arrays(path)
