"""A model in the layout of transformers: in a folder, in the hub's cache, or fetched without waiting for no network."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from giblet.errors import WeightsError
from giblet.weights import weights_place

TIMEOUT_S = 5.0
WEIGHTS = ("*.safetensors", "*.bin")
UNUSED = ("*.h5", "*.msgpack", "*.onnx", "*.onnx_data", "*.ot", "*.tflite", "*.gguf", "*.pt", "*.ckpt")
"""The same weights for other libraries."""


def find_pretrained(weights: str, setting: str, advice: str) -> Path:
    """The folder of a model: `weights` itself, or where the hub's cache has it, fetched if need be.

    Parameters
    ----------
    weights
        A name of `giblet weights`, a folder with `config.json`, which never asks the hub, or a name on the model hub,
        OWNER/NAME.
    setting
        What named it, `audio.vocoder` for example.
    advice
        What to do without it, the end of the error.

    Raises
    ------
    WeightsError
        If it cannot be had.
    """
    place = weights_place(weights)
    folder = Path(place).expanduser()
    if folder.is_dir():
        if _whole(folder):
            return folder
        raise _missing(weights, setting, f"the folder {folder} lacks config.json or weights", advice)
    if folder.is_absolute() or place.startswith((".", "~")) or place.count("/") != 1:
        raise _missing(weights, setting, f"there is no folder {folder}", advice)
    return _from_hub(weights, setting, advice)


def _whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in WEIGHTS)


def _from_hub(name: str, setting: str, advice: str) -> Path:
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with suppress(LocalEntryNotFoundError):
        cached = Path(snapshot_download(name, local_files_only=True))
        if _whole(cached):
            return cached
    if constants.HF_HUB_OFFLINE:
        raise _missing(name, setting, "HF_HUB_OFFLINE is set and it is not in the hub's cache", advice)
    try:
        about = HfApi().model_info(name, timeout=TIMEOUT_S)  # one short question before minutes of retries
        twice = [WEIGHTS[1]] if any(s.rfilename.endswith(".safetensors") for s in about.siblings or ()) else []
        return Path(snapshot_download(name, ignore_patterns=[*UNUSED, *twice], etag_timeout=TIMEOUT_S))
    except Exception as error:  # the hub's client raises several libraries' errors
        raise _missing(name, setting, f"the model hub cannot give it ({_brief(error)})", advice) from None


def _brief(error: Exception) -> str:
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line[:100]}" if line else type(error).__name__


def _missing(weights: str, setting: str, why: str, advice: str) -> WeightsError:
    return WeightsError(f"{setting}={weights} cannot be had: {why}; {advice}")
