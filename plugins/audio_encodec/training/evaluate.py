"""Scores of the bundled codec on real speech that no training heard, beside the same net untrained and mel means.

    ./do python plugins/audio_encodec/training/evaluate.py
    ./do python plugins/audio_encodec/training/evaluate.py --validation

reads the speech in `GIBLET_TEST_DATA`. `untrained` is the same net with random weights, `linear start` that with the
principal components it was trained from, both with codebooks by k-means on training sound; `mel means` are 80 mel bands
averaged over TRs of 1.5 s and played by Griffin-Lim. With --validation it reads two minutes of synthetic voices that
training did not hear instead, which choices are made on, and scores the codec alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crops import Crops
from giblet.analysis.audio import pesq_wb, si_sdr, stoi
from giblet.media import read_sound
from giblet_audio_mel.features import Mel, mel_stream
from giblet_audio_mel.inversion import griffin_lim
from numpy.typing import NDArray
from rvq import start_books
from start import start_linear

Float32 = NDArray[np.float32]
RATE_HZ, SPEECH_HZ = 24_000, 16_000
BUNDLED = Path(__file__).parents[1] / "src/giblet_audio_encodec/bundled"
CLIPS = (
    "speech/jfk.flac",
    "speech/librispeech_61-70968-0000.flac",
    "speech/librispeech_198-209-0000.ogg",
    "speech/acoustic_corpus.wav",
    "film/nasa_webb_13s.mp4",
)
TR_S = 1.5
MEL = Mel(RATE_HZ, 1024, 240, 80, 0.0, RATE_HZ / 2)
VALIDATION_CLIPS, VALIDATION_S = 12, 10


def scores(made: Float32, sound: Float32) -> dict[str, float]:
    """STOI and wide-band PESQ at 16 kHz, and SI-SDR, of `made` [n] against `sound` [n] at 24 kHz."""
    import soxr

    low, low_made = (soxr.resample(x, RATE_HZ, SPEECH_HZ) for x in (sound, made))
    heard = {"stoi": stoi(low, low_made, SPEECH_HZ), "pesq_wb": pesq_wb(low, low_made, SPEECH_HZ)}
    return heard | {"si_sdr_db": si_sdr(sound, made)}


def through(model: Any, kbps: float, sound: Float32) -> Float32:
    """`sound` [n] to codes and back."""
    with torch.inference_mode():
        x = torch.from_numpy(sound)[None, None]
        made = model.decode(model.encode(x, bandwidth=kbps).audio_codes, [None])[0]
    return np.asarray(made[0, 0, : len(sound)].numpy(), np.float32)


def mel_means(sound: Float32) -> Float32:
    """`sound` [n] to mel means over TRs and back."""
    db = np.concatenate([frames for frames, _ in mel_stream([sound], MEL)])
    of_tr = (np.arange(len(db)) * MEL.hop / RATE_HZ // TR_S).astype(int)
    means = np.stack([db[of_tr == tr].mean(0) for tr in range(of_tr[-1] + 1)])
    return griffin_lim(np.asarray(means[of_tr], np.float32), MEL, len(sound))


def load(folder: Path) -> Any:
    """The codec in a folder."""
    from transformers import EncodecModel

    return EncodecModel.from_pretrained(folder, local_files_only=True).eval()


@torch.no_grad()
def untrained(config: Any, sound: Path, linear: bool) -> Any:
    """The same net with random weights, or with those training began with; its codebooks by k-means."""
    from transformers import EncodecModel

    torch.manual_seed(0)
    model = EncodecModel(config).eval()
    batch = torch.from_numpy(Crops(sound, 2 * RATE_HZ, 0).batch(0, 100))
    if linear:
        start_linear(model, batch)
    vectors = model.encoder(batch[:, None]).transpose(1, 2).flatten(0, 1)
    start_books(model.quantizer, vectors, torch.Generator().manual_seed(0))
    return model


def real_clips(data: Path) -> Iterator[tuple[str, Float32]]:
    """The real clips, mono at 24 kHz."""
    for name in CLIPS:
        chunks = read_sound(data / name, RATE_HZ)
        yield Path(name).stem, np.concatenate([chunk.values[:, 0] for chunk in chunks]).astype(np.float32)


def validation_clips(sound: Path) -> Iterator[tuple[str, Float32]]:
    """Pieces of the voices that were held out."""
    said = np.load(sound / "validation_000.npy", mmap_mode="r")
    for k in range(VALIDATION_CLIPS):
        start = k * len(said) // VALIDATION_CLIPS
        yield f"validation {k}", said[start : start + VALIDATION_S * RATE_HZ].astype(np.float32) / 32768


def rows(clips: list[tuple[str, Float32]], ways: dict[str, Callable[[Float32], Float32]]) -> list[dict[str, Any]]:
    """One row of scores a way and clip, then the mean of each way."""
    out = []
    for way, make in ways.items():
        found = [{"way": way, "clip": name, **scores(make(sound), sound)} for name, sound in clips]
        mean = {key: float(np.mean([row[key] for row in found])) for key in ("stoi", "si_sdr_db", "pesq_wb")}
        out += [*found, {"way": way, "clip": "mean", **mean}]
    return out


def main() -> None:
    """Read the options, score, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="folder of the codec")
    parser.add_argument("--sound", type=Path, default=Path("out/codec/sound"), help="what make_sound.py made")
    parser.add_argument("--validation", action="store_true", help="held-out synthetic voices, and the codec alone")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    options = parser.parse_args()
    model = load(options.weights)
    ways: dict[str, Callable[[Float32], Float32]] = {
        f"{kbps} kbps": partial(through, model, kbps) for kbps in model.config.target_bandwidths
    }
    if options.validation:
        found = rows(list(validation_clips(options.sound)), ways)
    else:
        for way, linear in (("untrained", False), ("linear start", True)):
            ways[f"{way}, 6.0 kbps"] = partial(through, untrained(model.config, options.sound, linear), 6.0)
        clips = list(real_clips(Path(os.environ["GIBLET_TEST_DATA"])))
        found = rows(clips, {**ways, "mel means": mel_means})
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    print("| way | clip | STOI | SI-SDR (dB) | PESQ-wb |\n|---|---|---|---|---|")
    for row in found:
        print(f"| {row['way']} | {row['clip']} | {row['stoi']:.3f} | {row['si_sdr_db']:.2f} | {row['pesq_wb']:.2f} |")


if __name__ == "__main__":
    main()
