"""Make the sound that the bundled codec is trained on: minutes of speech, and of music and noise, from a seed.

    ./do python plugins/audio_encodec/training/make_sound.py --minutes 180 --processes 4

needs `espeak-ng`, `flite`, `festival` and the festival voices of `voices.FESTIVAL` (Debian packages of the same names).
Parts of five minutes, each from its own seed, int16 at 24 kHz: parts that are there are not made again, so that an
interrupted call goes on, and more minutes add parts to the same ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from music import music, noise
from numpy.typing import NDArray
from rooms import record
from voices import HELD_OUT, RATE_HZ, speak, train_voice

PART_S = 300
PAUSE_S = 0.6
FOLDER = Path("out/codec/sound")
Float32 = NDArray[np.float32]


def speech(rng: np.random.Generator) -> Float32:
    """One sentence of a training voice, recorded, and a pause."""
    return _spoken(train_voice(rng), rng)


def held_out_speech(rng: np.random.Generator) -> Float32:
    """One sentence of a voice that no training sound has."""
    return _spoken(str(rng.choice(HELD_OUT)), rng)


def other(rng: np.random.Generator) -> Float32:
    """Some seconds of music or noise, recorded."""
    return record((music if rng.random() < 0.7 else noise)(rng, rng.uniform(4, 12)), rng)


def _spoken(voice: str, rng: np.random.Generator) -> Float32:
    said = speak(voice, rng)
    return record(np.concatenate([said, np.zeros(int(rng.uniform(0, PAUSE_S) * RATE_HZ), np.float32)]), rng)


KINDS: dict[str, Callable[[np.random.Generator], Float32]] = {
    "speech": speech,
    "other": other,
    "validation": held_out_speech,
}


def make_part(folder: Path, kind: str, part: int) -> Path:
    """`kind`_`part`.npy, int16 [n] of five minutes; written at once or not at all."""
    path = folder / f"{kind}_{part:03d}.npy"
    if path.exists():
        return path
    rng = np.random.default_rng([list(KINDS).index(kind), part])
    pieces, left = list[Float32](), PART_S * RATE_HZ
    while left > 0:
        pieces.append(KINDS[kind](rng)[:left])
        left -= len(pieces[-1])
    half_done = path.with_suffix(".half")
    with half_done.open("wb") as file:
        np.save(file, np.round(np.concatenate(pieces) * 32767).astype(np.int16))
    return half_done.rename(path)


def wanted(minutes: float) -> list[tuple[str, int]]:
    """Parts for so many minutes of speech, a quarter as much of other sound, and one part to validate on."""
    parts = range(-(-int(minutes * 60) // PART_S))
    return [("validation", 0), *(("speech", part) for part in parts), *(("other", part) for part in parts[::4])]


def main() -> None:
    """Read the options and make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=180, help="minutes of speech")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = wanted(options.minutes)
    with Pool(options.processes) as pool:
        jobs = [pool.apply_async(partial(make_part, options.folder), part) for part in parts]
        for done, job in enumerate(jobs, 1):
            print(f"{job.get().name}: {done} of {len(jobs)}", flush=True)


if __name__ == "__main__":
    main()
