"""Where a codec's weights are: in this package, under a name, in a folder, in the hub's cache, or a download away."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from giblet.errors import WeightsError
from giblet.weights import weights_place

FILES = ("config.json", "model.safetensors")
BUNDLED = "bundled"
"""The name of the small codec that comes with this package."""
WAYS_OUT = (
    "either run `hf download facebook/encodec_24khz --local-dir DIR` on a machine with network, copy DIR here and say "
    "-o audio.weights=DIR (`giblet weights add NAME DIR` gives it a name), or take the small codec that comes with "
    f"giblet (-o audio.weights={BUNDLED}), or choose --audio mel"
)


def find_weights(weights: str) -> Path:
    """The folder of a model: ours, itself, the hub's cache, or a download; a local folder never asks the hub.

    Raises
    ------
    WeightsError
        If the weights cannot be had here; it names the three ways out.
    """
    if weights_place(weights) == BUNDLED:
        return Path(__file__).parent / BUNDLED
    from giblet.nn import find_pretrained  # torch comes with it, and settings are read without

    return find_pretrained(weights, "audio.weights", WAYS_OUT)


def fingerprint(folder: Path) -> bytes:
    """The SHA-256 of a model's files, 32 bytes: what a name stands for today."""
    found = sha256()
    for name in FILES:
        if (folder / name).is_file():
            found.update((folder / name).read_bytes())
    return found.digest()


def missing(weights: str, why: str) -> WeightsError:
    """The error for weights that are there, but are no codec's."""
    return WeightsError(f"audio.weights={weights} cannot be had: {why}; {WAYS_OUT}")


def first_line(error: Exception) -> str:
    """What an error says, in one short line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:120]
