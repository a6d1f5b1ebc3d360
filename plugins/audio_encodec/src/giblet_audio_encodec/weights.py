"""Where a codec's weights are: in this package, in a folder, in the model hub's cache, or a download away."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path

from giblet.errors import WeightsError

FILES = ("config.json", "model.safetensors")
BUNDLED = "bundled"
"""The name of the small codec that comes with this package."""
TIMEOUT_S = 5.0


def find_weights(weights: str) -> Path:
    """The folder of a model: ours, itself, the hub's cache, or a download; a local folder never asks the hub.

    Raises
    ------
    WeightsError
        If the weights cannot be had here; it names the three ways out.
    """
    folder = Path(__file__).parent / BUNDLED if weights == BUNDLED else Path(weights).expanduser()
    if folder.is_dir():
        if (folder / FILES[0]).is_file():
            return folder
        raise missing(weights, f"the folder {folder} has no {FILES[0]}")
    if folder.is_absolute() or weights.startswith((".", "~")) or weights.count("/") != 1:
        raise missing(weights, f"there is no folder {folder}")
    return _from_hub(weights)


def fingerprint(folder: Path) -> bytes:
    """The SHA-256 of a model's files, 32 bytes: what a name stands for today."""
    found = sha256()
    for name in FILES:
        if (folder / name).is_file():
            found.update((folder / name).read_bytes())
    return found.digest()


def missing(weights: str, why: str) -> WeightsError:
    """The error for weights that cannot be had."""
    return WeightsError(
        f"no weights {weights!r} for audio_encodec: {why}; either run `hf download facebook/encodec_24khz "
        "--local-dir DIR` on a machine with network, copy DIR here and say -o audio.weights=DIR, or take the small "
        f"codec that comes with giblet (-o audio.weights={BUNDLED}), or choose --audio mel"
    )


def first_line(error: Exception) -> str:
    """What an error says, in one short line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]


def _from_hub(name: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    fetch = partial(snapshot_download, name, allow_patterns=list(FILES), etag_timeout=TIMEOUT_S)
    try:
        cached = Path(fetch(local_files_only=True))
        if all((cached / file).is_file() for file in FILES):
            return cached
    except LocalEntryNotFoundError:
        pass
    if constants.HF_HUB_OFFLINE:
        raise missing(name, "HF_HUB_OFFLINE is set and they are not in the hub's cache")
    try:
        _reach(constants.ENDPOINT, name)
        return Path(fetch())
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise missing(name, f"the model hub cannot give them ({first_line(error)})") from None


def _reach(endpoint: str, name: str) -> None:
    """One short question before the hub's client begins its minutes of retries."""
    from urllib.request import Request, urlopen

    request = Request(f"{endpoint}/{name}/resolve/main/{FILES[0]}", method="HEAD")
    with urlopen(request, timeout=TIMEOUT_S):
        pass
