"""The demo's timetable: blocks, shots and sentences, and the levels of every cause that recur in each block."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import ConfigError
from giblet.types import Int

Float64 = NDArray[np.float64]

TR_S = 1.5
N_TRS = 320
FPS_HZ = 12.5
TEST_RUN = 1
"""The index of the run whose film has validation and test; all other films train from end to end."""
PARTS = (("train", 0, 84), ("validation", 124, 180), ("test", 220, 320))
TEST = slice(*PARTS[-1][1:])
"""The test TRs of that run."""
SHOT_S = (4.5, 8.5)
"""The shortest and longest shot before shots are stretched to fill a block; one of 6 s or more has two sentences."""


@dataclass(frozen=True)
class Cause:
    """One latent cause: its process, its levels by name with their values, and the relative jitter about a value."""

    name: str
    process: str
    levels: tuple[str, ...]
    values: tuple[float, ...]
    jitter: float = 0.0
    circular: bool = False


CAUSES = (
    Cause("motion", "picture", ("still", "slow", "medium", "fast"), (2.0, 8.0, 18.0, 32.0), 0.08),
    Cause("contrast", "picture", ("low", "middle", "high"), (0.25, 0.5, 1.0), 0.05),
    Cause("colour", "picture", ("blue", "red", "orange", "green"), (0.0, 90.0, 150.0, 230.0), 0.0, True),
    Cause("shape", "picture", ("disc", "square", "triangle", "ring"), ()),
    Cause("rhythm", "sound", ("slow", "walking", "quick", "rapid"), (1.5, 3.0, 5.5, 9.0), 0.05),
    Cause("pitch", "sound", ("low", "middle", "high", "top"), (110.0, 165.0, 247.0, 370.0), 0.04),
    Cause("vowel", "sound", ("a", "i", "u"), ()),
    Cause("who", "story", ("child", "animal", "machine", "crowd"), ()),
    Cause("action", "story", ("travels", "speaks", "makes", "rests"), ()),
    Cause("place", "story", ("home", "forest", "city", "sea"), ()),
    Cause("valence", "story", ("negative", "neutral", "positive"), (-1.0, 0.0, 1.0)),
)
"""Units: motion px/s, contrast share of full, colour degrees in the U-V plane, rhythm Hz, pitch Hz, valence -1 to 1."""


@dataclass(frozen=True)
class Plan:
    """How many films there are, each a run, and what their TRs are for.

    Raises
    ------
    ConfigError
        If there are fewer than two.
    """

    films: int = 2

    def __post_init__(self) -> None:
        if self.films < 2:
            raise ConfigError(f"a demo needs at least 2 films, not {self.films}: one trains, one is tested")

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of the runs, [R]."""
        return tuple(f"run-{r + 1}" for r in range(self.films))

    @property
    def split(self) -> dict[str, tuple[tuple[str, int, int], ...]]:
        """Label, first TR and end of each block of a run."""
        return {run: PARTS if r == TEST_RUN else (("train", 0, N_TRS),) for r, run in enumerate(self.runs)}

    @property
    def blocks(self) -> tuple[tuple[int, int, int], ...]:
        """Run index and TRs of every stretch in which all levels recur, films that train first, the test last."""
        edges = sorted({0, N_TRS, *(edge for _, *part in PARTS for edge in part)})
        whole = [(r, 0, N_TRS) for r in range(self.films) if r != TEST_RUN]
        return (*whole, *((TEST_RUN, first, last) for first, last in pairwise(edges)))


def stream(seed: int, *purpose: object) -> np.random.Generator:
    """An independent random stream for each purpose, so that one part of the world never disturbs another."""
    return np.random.default_rng([seed, zlib.crc32(":".join(map(str, purpose)).encode())])


@dataclass(frozen=True)
class Units:
    """The sentences, [E], block by block of the plan, which refine shots: run, block, shot, first and last frame."""

    run: Int
    block: Int
    shot: Int
    start: Int
    stop: Int

    @property
    def weight(self) -> Float64:
        """Seconds that each sentence lasts, [E]."""
        return (self.stop - self.start) / FPS_HZ

    def group(self, process: str) -> Int:
        """Which unit of this process each sentence belongs to, [E]: sentences of the story, shots of the others."""
        return np.arange(len(self.run)) if process == "story" else self.shot


def cut(rng: np.random.Generator, plan: Plan) -> Units:
    """Cut all films into shots and sentences; cuts fall on frames and on the borders of the blocks."""
    rows: list[tuple[int, ...]] = []
    shot = 0
    for block, (run, first, last) in enumerate(plan.blocks):
        for start, stop in _shots(rng, round(first * TR_S * FPS_HZ), round(last * TR_S * FPS_HZ)):
            parts = 2 if stop - start >= 6 * FPS_HZ else 1
            edges = np.rint(np.linspace(start, stop, parts + 1)).astype(int)
            rows += [(run, block, shot, a, b) for a, b in pairwise(edges)]
            shot += 1
    return Units(*np.array(rows, np.int64).T)


def _shots(rng: np.random.Generator, first: int, last: int) -> list[tuple[int, int]]:
    lengths = rng.uniform(*SHOT_S, round((last - first) / FPS_HZ / np.mean(SHOT_S)))
    edges = first + np.rint(np.concatenate([[0], np.cumsum(lengths)]) * (last - first) / lengths.sum()).astype(int)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def balanced(rng: np.random.Generator, cause: Cause, units: Units) -> tuple[Int, Float64]:
    """A shuffled level and a jitter factor for each unit of the cause's process, [G]; every level in every block."""
    group = units.group(cause.process)
    block = units.block[np.unique(group, return_index=True)[1]]
    levels = np.empty(len(block), np.int64)
    for b in np.unique(block):
        n, k = int((block == b).sum()), len(cause.levels)
        levels[block == b] = rng.permutation(np.resize(rng.permutation(k), n))
    return levels, np.exp(rng.normal(0, 1, len(block)).clip(-2, 2) * cause.jitter)


def columns(cause: Cause, level: Int, factor: Float64) -> dict[str, Float64]:
    """A cause as latent series by name: rates and pitches in octaves, hue as a point, names as one column each."""
    if not cause.values:
        return {f"{cause.name}_{name}": (level == k).astype(float) for k, name in enumerate(cause.levels)}
    value = np.asarray(cause.values)[level] * factor
    if cause.circular:
        turn = np.deg2rad(value)
        return {f"{cause.name}_u": np.cos(turn), f"{cause.name}_v": np.sin(turn)}
    return {cause.name: np.log2(value) if cause.process == "sound" else value}


def as_matrix(parts: dict[str, dict[str, Float64]]) -> tuple[list[str], NDArray[Any]]:
    """All latent series side by side: their names and the matrix [E, L]."""
    named = {name: column for part in parts.values() for name, column in part.items()}
    return list(named), np.stack(list(named.values()), axis=1)
