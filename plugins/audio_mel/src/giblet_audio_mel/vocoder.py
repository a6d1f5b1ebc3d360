"""From a mel spectrogram to sound by a HiFi-GAN of transformers, whose mel bands are other ones."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from giblet.errors import ConfigError, WeightsError
from giblet.nn import find_pretrained
from numpy.typing import NDArray

from giblet_audio_mel.features import Float32, Mel, mel_filters
from giblet_audio_mel.inversion import magnitude

CLASSES = {"speecht5_hifigan": "SpeechT5HifiGan", "fastspeech2_conformer_hifigan": "FastSpeech2ConformerHifiGan"}
RATE_HZ, WINDOW = 22_050, 1024
"""Of the second kind, whose config does not say; both kinds were trained on windows of so many samples."""
FMIN_HZ, FMAX_HZ, FLOOR = 80.0, 7600.0, 1e-10
"""The bands that both kinds were trained on, unless `preprocessor_config.json` says otherwise."""
ADVICE = (
    "give audio.vocoder a folder or hub name of a HiFi-GAN of transformers (microsoft/speecht5_hifigan), or leave it "
    "out for Griffin-Lim"
)
PIECE, CONTEXT = 512, 32
"""Frames that are made at once, and that they see on either side: a HiFi-GAN reaches 23 frames."""


class Vocoder(NamedTuple):
    """A model, the mel bands that it reads (log10 of amplitude, no less than `floor`), and its class."""

    model: Any
    mel: Mel
    floor: float
    kind: str


def find_vocoder(weights: str) -> Path:
    """The folder of a vocoder.

    Raises
    ------
    WeightsError
        If it cannot be had, is none of the known kinds, or its files say nothing that can be read.
    ConfigError
        If transformers is not installed.
    """
    if find_spec("transformers") is None:
        raise ConfigError("audio.vocoder needs transformers; pip install 'giblet-audio-mel[vocoder]', or leave it out")
    folder = find_pretrained(weights, "audio.vocoder", ADVICE)
    kind = _told(folder, "config.json", weights).get("model_type")
    if kind not in list(CLASSES):  # whatever the file says, a list too
        raise WeightsError(f"audio.vocoder={weights} is {kind!r}, not one of {', '.join(CLASSES)}; {ADVICE}")
    _limits(folder, weights)  # a broken file is known before training
    return folder


@lru_cache(maxsize=1)
def load_vocoder(weights: str) -> Vocoder:
    """The vocoder of a folder or hub name, on the CPU, loaded once a process.

    Raises
    ------
    WeightsError
        If it cannot be had or its files are damaged.
    """
    import transformers
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # giblet shows its own, and none in a pipe
    folder = find_vocoder(weights)
    kind, limits = CLASSES[_told(folder, "config.json", weights)["model_type"]], _limits(folder, weights)
    try:
        model = getattr(transformers, kind).from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever transformers makes of a foreign file
        brief = " ".join(str(error).split())[:100]
        raise WeightsError(f"audio.vocoder={weights} does not open ({brief}); {ADVICE}") from None
    told = model.config
    rate_hz = int(getattr(told, "sampling_rate", RATE_HZ))
    mel = Mel(rate_hz, WINDOW, prod(told.upsample_rates), int(told.model_in_dim), limits["fmin"], limits["fmax"])
    return Vocoder(model.eval(), mel, limits["mel_floor"], kind)


def _limits(folder: Path, weights: str) -> dict[str, float]:
    """The lowest and highest frequency in Hz, and the floor, of the bands that a vocoder reads."""
    extra = "preprocessor_config.json"
    found = _told(folder, extra, weights) if (folder / extra).is_file() else {}
    limits = {"fmin": FMIN_HZ, "fmax": FMAX_HZ, "mel_floor": FLOOR}
    limits |= {name: found[name] for name in limits if name in found}
    for name, value in limits.items():
        if not isinstance(value, int | float):
            raise WeightsError(f"audio.vocoder={weights}: {extra} has no number as {name}; {ADVICE}")
    return {name: float(value) for name, value in limits.items()}


def _told(folder: Path, name: str, weights: str) -> dict[str, Any]:
    """What a file beside the weights says."""
    try:
        found = json.loads((folder / name).read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise WeightsError(f"audio.vocoder={weights}: {name} is no JSON object; {ADVICE}")
    return found


def frames_of(db: Float32, mel: Mel, wanted: Mel) -> int:
    """How many frames of another definition the time of frames [N, n_mels] holds."""
    return 1 + (len(db) - 1) * mel.hop * wanted.rate_hz // (wanted.hop * mel.rate_hz)


def log_amplitude(db: Float32, mel: Mel, vocoder: Vocoder, frames: range) -> Float32:
    """Some frames as a vocoder reads them: dB of power [N, n_mels] to log10 of amplitude in its bands [n, M].

    There is no exact way: sums of power become sums of amplitude by the magnitudes that fit the bands, which are
    interpolated in frequency and time where the grids differ. Windows of other lengths see speech grow as they see
    noise grow.
    """
    wanted = vocoder.mel
    at = np.array(frames) * (wanted.hop / wanted.rate_hz) * (mel.rate_hz / mel.hop)
    bins = np.arange(1 + wanted.n_fft // 2) * (wanted.rate_hz / wanted.n_fft) * (mel.n_fft / mel.rate_hz)
    low, louder = int(at[0]), (wanted.rate_hz * wanted.n_fft / (mel.rate_hz * mel.n_fft)) ** 0.5
    linear = magnitude(db[low : int(at[-1]) + 2], mel).numpy() * louder
    here = _between(_between(linear, at - low).T, bins).T
    return np.asarray(np.log10(np.maximum(here @ mel_filters(wanted).T, vocoder.floor)), np.float32)


def _between(rows: Float32, at: NDArray[np.floating[Any]]) -> Float32:
    """Rows [n, m] at places between them, linear, the last one held, [len(at), m]."""
    low = np.minimum(at.astype(np.int64), len(rows) - 1)
    share = (at - low).clip(0, 1).astype(np.float32)[:, None]
    return np.asarray(rows[low] * (1 - share) + rows[np.minimum(low + 1, len(rows) - 1)] * share)


def voiced(db: Float32, mel: Mel, vocoder: Vocoder, length_s: float) -> Float32:
    """Sound of `length_s` seconds at the vocoder's rate, of mel bands in dB [N, n_mels], made piece after piece."""
    import torch

    n, hop = frames_of(db, mel, vocoder.mel), vocoder.mel.hop
    out = np.zeros(max(round(length_s * vocoder.mel.rate_hz), n * hop), np.float32)
    for start in range(0, n, PIECE):
        first, stop = max(0, start - CONTEXT), min(n, start + PIECE)
        bands = log_amplitude(db, mel, vocoder, range(first, min(n, stop + CONTEXT)))
        with torch.inference_mode():
            sound = vocoder.model(torch.from_numpy(bands)).numpy()
        out[start * hop : stop * hop] = sound[(start - first) * hop : (stop - first) * hop]
    return out[: round(length_s * vocoder.mel.rate_hz)]
