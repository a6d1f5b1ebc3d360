"""Blind listening: which trials, and what the answers are worth."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from giblet.errors import ConfigError

Task = Literal["abx", "match"]
"""abx: A and B are one moment in two versions, X is one of the two; can the versions be told apart at all?

match: A and B are two moments of the original, X is one of them in a version; is it known which?
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """Three clips, each a version and the number of a moment, and whether X is A or B."""

    a: tuple[str, int]
    b: tuple[str, int]
    x: tuple[str, int]
    answer: Literal["A", "B"]


def draw_trials(task: Task, version: str, against: str, n_clips: int, n_trials: int, seed: int) -> list[Trial]:
    """Trials in random order: no moment twice before all were heard, A and B swapped and X chosen by chance.

    Raises
    ------
    ConfigError
        If there are too few moments to choose from, or a version is compared with itself.
    """
    if n_clips < (2 if task == "match" else 1):
        raise ConfigError(f"{n_clips} clips are too few for a blind test; make the clips shorter (--clip)")
    if version == against:
        raise ConfigError(f"{version!r} cannot be compared with itself; name another version (--against)")
    rng = np.random.default_rng(seed)
    moments = np.concatenate([rng.permutation(n_clips) for _ in range(-(-n_trials // n_clips))])[:n_trials]
    return [_trial(task, version, against, int(k), n_clips, rng) for k in moments]


def _trial(task: Task, version: str, against: str, k: int, n_clips: int, rng: np.random.Generator) -> Trial:
    answer: Literal["A", "B"] = "A" if rng.integers(2) else "B"
    if task == "match":
        other = int((k + rng.integers(1, n_clips)) % n_clips)
        right, wrong, x = (against, k), (against, other), (version, k)
    else:
        right, wrong = ((version, k), (against, k)) if rng.integers(2) else ((against, k), (version, k))
        x = right
    a, b = (right, wrong) if answer == "A" else (wrong, right)
    return Trial(a, b, x, answer)


def binomial_p(right: int, n: int) -> float:
    """Chance of at least so many right answers of n by guessing one of two: exact, one-sided."""
    return sum(comb(n, k) for k in range(right, n + 1)) / 2**n


def least_right(n: int, p: float = 0.05) -> int | None:
    """The least number of right answers of n whose chance is at most `p`; None where even all are not enough."""
    return next((k for k in range(n + 1) if binomial_p(k, n) <= p), None)
