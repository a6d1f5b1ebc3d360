"""What an inverter is worth on texts that it never saw, beside the nearest of the texts that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from giblet.types import Float, Progress
from giblet.words import bleu, exact, recover, token_f1, typical
from numpy.typing import NDArray

from giblet_text_bge.inversion.inverter import Inverter
from giblet_text_bge.inversion.train.lines import Lines
from giblet_text_bge.inversion.train.settings import Training

NEAREST = "nearest training text"
STEPS = (0, 1, 5, 20)
NOISE = (0.25, 0.5, 1.0)
NOISY_TEXTS = 300
EXAMPLES = 10
DRAWS = 2000


@dataclass(frozen=True)
class Scores:
    """One way back to texts at one level of noise. Intervals are of 95 %, by bootstrap over texts."""

    method: str
    noise: float
    n: int
    bleu: float
    token_f1: float
    token_f1_interval: tuple[float, float]
    exact: float
    exact_interval: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """All scores on the test texts, and the sizes that they depend on."""

    scores: list[Scores]
    n_train: int
    examples: list[tuple[str, str, str]]
    """Text, what inversion wrote, nearest training text."""

    def as_json(self) -> str:
        """For machines."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def evaluate(inverter: Inverter, lines: Lines, vectors: Float, settings: Training, progress: Progress) -> Evaluation:
    """Both ways back, without noise at 0, 1, 5 and 20 corrections, and with noise at the training's `check_steps`.

    The length of the noise is in units of the root mean square distance of training texts from their mean, and noisy
    embeddings are moved to where texts are before they are inverted, as a run does (`giblet.words.typical`).
    """
    corpus, corpus_texts = vectors[lines.train], lines.of(lines.train)
    spread = float(np.sqrt(((corpus - corpus.mean(0)) ** 2).sum(1).mean()))
    scores, examples = [], list[tuple[str, str, str]]()
    for i, level in enumerate((0.0, *NOISE)):
        progress("evaluate", i, 1 + len(NOISE))
        rows = lines.test[:NOISY_TEXTS] if level else lines.test
        steps, wanted = (settings.check_steps,) if level else STEPS, lines.of(rows)
        target = vectors[rows] + noise(vectors[rows].shape, level * spread, settings.seed)
        nearest, _ = recover(target, corpus, corpus_texts)
        course = inverter.course(typical(target, corpus) if level else target, max(steps))
        scores.append(score(NEAREST, level, nearest, wanted, settings.seed))
        scores += [score(f"inversion, {s} steps", level, course[s].texts, wanted, settings.seed) for s in steps]
        examples = examples or list(zip(wanted, course[-1].texts, nearest, strict=True))[:EXAMPLES]
    progress("evaluate", 1 + len(NOISE), 1 + len(NOISE))
    return Evaluation(scores, len(corpus_texts), examples)


def noise(shape: tuple[int, int], length: float, seed: int) -> NDArray[np.float32]:
    """White Gaussian noise, [N, D], whose root mean square length is `length`."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(length / shape[1] ** 0.5)


def score(method: str, level: float, found: Sequence[str], wanted: Sequence[str], seed: int) -> Scores:
    """BLEU, token F1 and exact matches of found texts."""
    f1s = np.array([token_f1([f], [w]) for f, w in zip(found, wanted, strict=True)])
    same = np.array([exact([f], [w]) for f, w in zip(found, wanted, strict=True)])
    intervals = _interval(f1s, seed), _interval(same, seed)
    means = round(bleu(found, wanted), 2), round(float(f1s.mean()), 4), round(float(same.mean()), 4)
    return Scores(method, level, len(found), means[0], means[1], intervals[0], means[2], intervals[1])


def _interval(values: Float, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)
