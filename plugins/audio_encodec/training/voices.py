"""Synthesised speech by espeak-ng, flite and festival: one sentence in a voice, at 24 kHz."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from words import sentence

Float32 = NDArray[np.float32]
RATE_HZ = 24_000
LIMIT_S = 30
SHORTEST_S = 0.5

LANGUAGES = (
    "af an as az bg bn bs ca cs cy da de el en-gb en-gb-scotland en-us en-gb-x-rp en-us-nyc eo es es-419 et eu fa fi "
    "fr-fr ga gd gu hi hr hu hy id is it ka kk kn ko ku la lt lv mk ml mr ms mt nb ne nl or pa pl pt pt-br ro ru sk sl "
    "sq sr sv sw ta te tn tr tt ur uz vi"
).split()
VARIANTS = (
    "f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 klatt klatt2 klatt3 klatt4 Andy Annie Alex Demonic Diogo Gene Jacky Lee "
    "Mario Michael Mike Mr_serious Nguyen Reed Storm Tweaky adam anika benjamin boris caleb david edward iven john "
    "linda marcelo max miguel mike2 norbert pablo paul pedro quincy robert sandro shelby steph travis victor zac "
    "whisper whisperf croak"
).split()
FLITE = ("awb", "slt", "kal16")
FESTIVAL = (
    "cmu_us_slt_arctic_hts", "kal_diphone", "ked_diphone", "upc_ca_ona_hts", "czech_dita", "czech_ph",
    "hy_fi_mv_diphone", "suo_fi_lj_diphone", "pc_diphone", "msu_ru_nsh_clunits",
)  # fmt: skip
HELD_OUT = ("flite:rms", "festival:lp_diphone", "espeak:en-029+Alicia", "espeak:es+Hugo")
"""Voices that no training sound has."""


def train_voice(rng: np.random.Generator) -> str:
    """A voice by its share: half espeak-ng's languages and variants, the other half cut from real speech."""
    engine = rng.choice(["espeak", "flite", "festival"], p=[0.5, 0.25, 0.25])
    if engine == "flite":
        return f"flite:{rng.choice(FLITE, p=[0.45, 0.45, 0.1])}"
    if engine == "festival":
        return f"festival:{rng.choice(FESTIVAL)}"
    return f"espeak:{rng.choice(LANGUAGES)}+{rng.choice(VARIANTS)}"


def speak(voice: str, rng: np.random.Generator) -> Float32:
    """One random sentence, [n] at 24 kHz, spoken at a random rate and pitch, its formants moved by up to a fifth."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        while not _says(voice, sentence(rng, int(rng.integers(6, 16))), wav, rng):
            pass
        sound, rate_hz = soundfile.read(wav, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(sound[:, 0], rate_hz * rng.uniform(0.83, 1.2), RATE_HZ), np.float32)


def _says(voice: str, text: str, wav: Path, rng: np.random.Generator) -> bool:
    """Whether the voice could say it: some of festival's know no word of foreign letters, and stop there."""
    engine, name = voice.split(":")
    try:
        ENGINES[engine](name, text, wav, rng)
    except subprocess.SubprocessError:
        return False
    return wav.is_file() and soundfile.info(wav).duration > SHORTEST_S


def _espeak(name: str, text: str, wav: Path, rng: np.random.Generator) -> None:
    pitch, words_a_minute = int(rng.integers(15, 85)), int(rng.integers(110, 230))
    _call("espeak-ng", "-v", name, "-p", pitch, "-s", words_a_minute, "-w", wav, text)


def _flite(name: str, text: str, wav: Path, rng: np.random.Generator) -> None:
    stretch = f"duration_stretch={rng.uniform(0.8, 1.3):.2f}"
    _call("flite", "-voice", name, "--setf", stretch, "-t", text, "-o", wav)


def _festival(name: str, text: str, wav: Path, rng: np.random.Generator) -> None:
    stretch = rng.uniform(0.8, 1.3)
    say = f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{wav}" (quote riff))'
    _call("festival", "-b", f"(voice_{name})", f"(Parameter.set 'Duration_Stretch {stretch:.2f})", say)


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=LIMIT_S, capture_output=True)


ENGINES: dict[str, Callable[[str, str, Path, np.random.Generator], None]] = {
    "espeak": _espeak,
    "flite": _flite,
    "festival": _festival,
}
