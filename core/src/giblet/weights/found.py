"""Weights that need no name: those that plugins bring along, and those that were fetched before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from giblet.weights.files import HOLDS, n_bytes_of

BUNDLED = "bundled"
"""The folder in a plugin's package that holds weights, itself or in folders of their own."""


class FoundWeights(NamedTuple):
    """Weights that a setting may name: by a plugin's own word, or as they are called on the hub."""

    name: str
    whose: str
    path: Path
    n_bytes: int


def found_weights() -> list[FoundWeights]:
    """All of them; no network is asked and no plugin imported."""
    return [*_bundled(), *_hub(), *_torch()]


def _bundled() -> Iterator[FoundWeights]:
    for point in sorted(entry_points(group="giblet"), key=lambda p: p.name):
        spec = find_spec(point.module.partition(".")[0])
        for package in (spec.submodule_search_locations or []) if spec else []:
            for folder in sorted(Path(package).rglob(BUNDLED)):
                own = [folder] if _holds(folder) else sorted(p for p in folder.iterdir() if p.is_dir())
                yield from (FoundWeights(p.name, point.name, p, n_bytes_of(p)) for p in own)


def _holds(folder: Path) -> bool:
    return any(file.suffix in HOLDS for file in folder.iterdir())


def _hub() -> Iterator[FoundWeights]:
    """What the model hub's client keeps, where that is installed."""
    if find_spec("huggingface_hub") is None:
        return
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return
    for repo in sorted(repos, key=lambda r: r.repo_id):
        if repo.repo_type == "model":
            yield FoundWeights(repo.repo_id, "model hub", repo.repo_path, repo.size_on_disk)


def _torch() -> Iterator[FoundWeights]:
    """What torchvision has fetched."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    for file in sorted((Path(home) / "hub" / "checkpoints").glob("*.pth")):
        yield FoundWeights(file.stem, "torchvision", file, n_bytes_of(file))
