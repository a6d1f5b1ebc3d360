"""`giblet listen`: clips of a run's sounds, equally loud in a trial, as a page for blind listening."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.audio import Task, Trial, draw_trials
from giblet.analysis.audio.waveform import SILENT
from giblet.analysis.scores import Real
from giblet.data.written import read_object
from giblet.errors import ConfigError, did_you_mean
from giblet.media import audio_streams, read_sound
from giblet.report import write_listening

Sound = NDArray[np.float32]
Clip = tuple[str, int]
LEVEL = 0.05
"""Root mean square of a clip, -26 dB of full scale, or less: clips must not be told apart by their loudness."""
PEAK = 0.99
FADE_S = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Sounds [N] of one moment in two or more versions, and where clips of them begin, in samples."""

    sounds: dict[str, Sound]
    rate_hz: int
    begins: list[int]
    size: int

    @classmethod
    def read(cls, run: Path, versions: tuple[str, ...], clip_s: float) -> Recording:
        """The sounds of a run, mono at one rate, and the clips in which all of them can be heard.

        Raises
        ------
        ConfigError
            If the run has no such sound, or a clip is no longer than its two fades.
        """
        if clip_s <= 2 * FADE_S:
            raise ConfigError(f"--clip {clip_s:g} is too short; give more than {2 * FADE_S:g} s, 4 for example")
        folder = run / "reconstructions" / "audio"
        found = {p.stem: p for p in sorted(folder.glob("*.wav"))}
        for version in versions:
            if version not in found:
                hint = (
                    did_you_mean(version, found) if found else "give a run with sound that plays, or one of its folds"
                )
                raise ConfigError(f"{folder} has no {version}.wav; {hint}")
        rate_hz = max(int(audio_streams(found[v])[0].sample_rate_hz or 0) for v in versions)
        sounds = {v: np.concatenate([c.values[:, 0] for c in read_sound(found[v], rate_hz)]) for v in versions}
        size, end = round(clip_s * rate_hz), min(map(len, sounds.values()))
        begins = range(0, end - size + 1, size)
        heard = [b for b in begins if all(np.abs(x[b : b + size]).max() >= SILENT for x in sounds.values())]
        return cls(sounds, rate_hz, heard, size)

    def faded(self, clip: Clip) -> Real:
        """A clip, faded in and out, with a root mean square of 1."""
        begin = self.begins[clip[1]]
        x = self.sounds[clip[0]][begin : begin + self.size].astype(np.float64)
        fade = np.minimum(1, (np.arange(self.size) + 0.5) / (FADE_S * self.rate_hz))
        x = x * fade * fade[::-1]
        return np.asarray(x / np.sqrt(np.square(x).mean()))

    def level(self, trial: Trial) -> float:
        """How loud all clips of a trial can be: as wished, or less where a peak of one of them would be cut off."""
        return min(LEVEL, *(PEAK / float(np.abs(self.faded(clip)).max()) for clip in (trial.a, trial.b, trial.x)))

    def flac(self, clip: Clip, level: float) -> bytes:
        """A clip as it is played, with a root mean square of `level`."""
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, level * self.faded(clip), self.rate_hz, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()


def make_page(
    run: Path, out: Path, task: Task, versions: tuple[str, str], clip_s: Fraction, seed: int, n_trials: int
) -> Path:
    """Write the page of `n_trials` trials of two `versions`: what is judged, and what it is judged against.

    Raises
    ------
    ConfigError
        If the run has no such sounds, or they are too short.
    """
    recording = Recording.read(run, versions, float(clip_s))
    trials = draw_trials(task, *versions, len(recording.begins), n_trials, seed)
    levels = [recording.level(t) for t in trials]
    clips = list(dict.fromkeys((c, level) for t, level in zip(trials, levels, strict=True) for c in (t.a, t.b, t.x)))

    def told(clip: Clip, level: float) -> dict[str, Any]:
        begin_s = recording.begins[clip[1]] / recording.rate_hz
        return {"sound": f"sound-{clips.index((clip, level))}", "version": clip[0], "begin_s": begin_s}

    test = {
        "study": read_object(run / "metrics.json").get("study") or run.resolve().name,
        "task": task,
        "version": versions[0],
        "against": versions[1],
        "clip_s": float(clip_s),
        "seed": seed,
        "trials": [
            {"a": told(t.a, level), "b": told(t.b, level), "x": told(t.x, level), "answer": t.answer}
            for t, level in zip(trials, levels, strict=True)
        ],
    }
    sounds = {f"sound-{k}": recording.flac(*clip) for k, clip in enumerate(clips)}
    content = hashlib.sha256(json.dumps(test).encode())
    for sound in sounds.values():
        content.update(sound)
    return write_listening(out, test | {"id": content.hexdigest()[:16]}, sounds)
