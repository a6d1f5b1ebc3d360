"""The modality that keeps every law, and from which the mutants are made."""

from fractions import Fraction
from typing import Literal

import numpy as np
from giblet import Features, Modality, Source
from giblet.brain import BrainModality
from pydantic import Field

RATE_HZ = 10


class Good(Modality):
    """Rows of a table, ten a second."""

    name = "good_one"
    kind = "good"
    round_trip = 1e-6

    gain: float = Field(1.0, gt=0)
    digits: int = Field(6, ge=1, le=12)
    mode: Literal["plain", "other"] = "plain"

    def example(self, folder):
        np.savetxt(folder / "table.txt", np.random.default_rng(0).normal(size=(64, 3)))
        return Source(folder / "table.txt")

    def fit(self, sources, train):
        tables = [np.loadtxt(source.path) for source in sources]
        rows = [t[15 * trs.start : 15 * trs.stop] for t, part in zip(tables, train, strict=True) for trs in part]
        return self.fitted(mean=np.concatenate(rows).mean(0))  # TRs of 1.5 s, as in the checks

    def extract(self, source):
        table = np.loadtxt(source.path, dtype=np.float32, ndmin=2)
        n = np.arange(len(table))
        keep = n >= (source.start_s or 0) * RATE_HZ
        if source.stop_s is not None:
            keep &= n < source.stop_s * RATE_HZ
        yield Features(table[keep], n[keep], Fraction(1, RATE_HZ), attrs={"unit": "V"})

    def reconstruct(self, features, out):
        path = out.with_suffix(".txt")
        np.savetxt(path, features.values)
        return path


class GoodEvents(Good):
    """Events of half a second to a second and a half, with their texts."""

    round_trip = None

    def extract(self, source):
        onset_s = np.arange(0, 6, 1.0)
        keep = onset_s >= float(source.start_s or 0)
        if source.stop_s is not None:
            keep &= onset_s < float(source.stop_s)
        n = np.flatnonzero(keep)
        values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)[n]
        yield Features.events(values, onset_s[n], 0.5 + 0.2 * n, texts=[f"event {i}" for i in n])


class GoodClasses(Good):
    """Classes, 0 to 7, in place of numbers."""

    round_trip = 0.0

    def extract(self, source):
        for chunk in super().extract(source):
            yield chunk.with_values(np.clip(np.rint(2 * chunk.values) + 4, 0, 7).astype(np.int64))

    def spec(self, aligned):
        from dataclasses import replace

        return replace(super().spec(aligned), num_classes=8)

    def loss(self, prediction, target):
        from torch.nn.functional import cross_entropy

        entropy = cross_entropy(prediction.flatten(0, -2), target.flatten().long(), reduction="none")
        return entropy.unflatten(0, target.shape).mean(-1)

    def reconstruct(self, features, out):
        path = out.with_suffix(".txt")
        np.savetxt(path, (features.values - 4) / 2)
        return path


class GoodBrain(BrainModality, Good):
    """The same as a brain, which is not asked for what only a stimulus has."""


class GoodSound(Modality):
    """How loud each tenth of a second is, of giblet's own film."""

    name = "audio_loudness"
    kind = "audio"

    def extract(self, source):
        from giblet.media import read_sound

        for chunk in read_sound(source.path, 1000, start_s=source.start_s, stop_s=source.stop_s):
            whole = len(chunk.values) // 100 * 100
            if not whole:  # a tail of less than a tenth
                continue
            loud = np.abs(chunk.values[:whole]).reshape(-1, 100).mean(1, keepdims=True)
            yield Features(loud, chunk.ticks[:whole:100], Fraction(1, 1000))
