"""The demo's three latent processes, picture, sound and story: independent of each other but for their cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.data.demo.schedule import (
    CAUSES,
    FPS_HZ,
    N_TRS,
    TR_S,
    Cause,
    Float64,
    Plan,
    Units,
    as_matrix,
    balanced,
    columns,
    cut,
    stream,
)
from giblet.types import Int

FINE_HZ = 10
"""The rate at which causes act on neurons, before the hemodynamics."""
MAX_R = 0.1
"""No latent series correlates more than this with one of another process."""


@dataclass(frozen=True)
class World:
    """What happens when: for each cause its level and jitter factor in each unit, spread over the sentences [E]."""

    seed: int
    plan: Plan
    units: Units
    level: dict[str, Int]
    factor: dict[str, Float64]

    def value(self, name: str) -> Float64:
        """The physical value of a cause in each sentence, [E]: px/s, Hz and so on."""
        cause = next(c for c in CAUSES if c.name == name)
        return np.asarray(cause.values)[self.level[name]] * self.factor[name]

    def at(self, run: int, times_s: Float64) -> Int:
        """Which sentence is on at each time of a run."""
        mine = np.flatnonzero(self.units.run == run)
        return mine[np.searchsorted(self.units.start[mine] / FPS_HZ, times_s, "right") - 1]

    def fine(self, run: int) -> Int:
        """Which sentence is on at each sample of the fine clock, 10 Hz, at the middle of the sample."""
        return self.at(run, (np.arange(round(N_TRS * TR_S * FINE_HZ)) + 0.5) / FINE_HZ)

    def latents(self) -> tuple[list[str], Float64]:
        """The latent series: names, and their means over each TR, [R runs, T, L]."""
        fine = self.linear()
        return self.names(), fine.reshape(len(fine), N_TRS, -1, fine.shape[2]).mean(2)

    def names(self) -> list[str]:
        """The names of the latent series, [L]."""
        return as_matrix(self._columns())[0]

    def linear(self) -> Float64:
        """The latent series on the fine clock, [R runs, n, L]."""
        table = as_matrix(self._columns())[1]
        return np.stack([table[self.fine(run)] for run in range(self.plan.films)])

    def _columns(self) -> dict[str, dict[str, Float64]]:
        return {c.name: columns(c, self.level[c.name], self.factor[c.name]) for c in CAUSES}


def process_of(latent: str) -> str:
    """The process that a latent series belongs to."""
    return next(c.process for c in CAUSES if latent == c.name or latent.startswith(c.name + "_"))


def worst_r(names: list[str], series: Float64) -> float:
    """The largest |r| of latent series [N, L] of different processes."""
    r = np.abs(np.corrcoef(series, rowvar=False))
    owner = np.array([process_of(name) for name in names])
    return float(r[owner[:, None] != owner].max())


def make_world(seed: int, films: int = 2) -> World:
    """Draw schedules until no two processes correlate, the same world for the same seed and number of films."""
    plan = Plan(films)
    for attempt in range(100):
        world = _draw(seed, plan, stream(seed, "world", attempt))
        names, series = world.latents()
        if worst_r(names, series.reshape(-1, len(names))) < MAX_R:
            return world
    raise AssertionError(f"no uncorrelated world for seed {seed}")


def _draw(seed: int, plan: Plan, rng: np.random.Generator) -> World:
    units = cut(rng, plan)
    drawn = {c.name: balanced(rng, c, units) for c in CAUSES}
    _decorrelate(rng, units, drawn)
    spread = {c.name: units.group(c.process) for c in CAUSES}
    level = {name: drawn[name][0][group] for name, group in spread.items()}
    return World(seed, plan, units, level, {name: drawn[name][1][group] for name, group in spread.items()})


def _decorrelate(
    rng: np.random.Generator, units: Units, drawn: dict[str, tuple[Int, Float64]], steps: int = 3000
) -> None:
    """Swap two units of one cause inside a block wherever that lowers the correlation between processes."""
    score = _Score(units, drawn)
    blocks = {c.name: units.block[np.unique(units.group(c.process), return_index=True)[1]] for c in CAUSES}
    for _ in range(steps):
        if score.cost == 0:
            return
        cause = CAUSES[rng.integers(len(CAUSES))]
        i = int(rng.integers(len(blocks[cause.name])))
        j = int(rng.choice(np.flatnonzero(blocks[cause.name] == blocks[cause.name][i])))
        if drawn[cause.name][0][i] != drawn[cause.name][0][j]:
            score.swap(cause, i, j)


class _Score:
    """How correlated the processes are: a hinge on |r| by duration, over all films and over the test block."""

    def __init__(self, units: Units, drawn: dict[str, tuple[Int, Float64]]) -> None:
        self.units, self.drawn = units, drawn
        self.parts = {c.name: self._columns(c) for c in CAUSES}
        names = as_matrix(self.parts)[0]
        owner = np.array([process_of(name) for name in names])
        self.pairs = owner[:, None] != owner
        test = units.block == units.block.max()
        self.scopes = ((np.sqrt(units.weight), 0.07), (np.sqrt(units.weight * test), 0.2))
        self.cost = self._cost()

    def _columns(self, cause: Cause) -> dict[str, Float64]:
        level, factor = self.drawn[cause.name]
        group = self.units.group(cause.process)
        return columns(cause, level[group], factor[group])

    def _cost(self) -> float:
        x = as_matrix(self.parts)[1]
        cost = 0.0
        for root, allowed in self.scopes:
            z = root[:, None] * (x - np.average(x, axis=0, weights=root**2))
            r = np.abs(z.T @ z) / np.sqrt(np.outer((z**2).sum(0), (z**2).sum(0)))
            cost += float((np.maximum(r - allowed, 0) ** 2)[self.pairs].sum())
        return cost

    def swap(self, cause: Cause, i: int, j: int) -> None:
        """Swap two units of a cause if that lowers the cost."""
        before, cost = self.parts[cause.name], self.cost
        for array in self.drawn[cause.name]:
            array[[i, j]] = array[[j, i]]
        self.parts[cause.name] = self._columns(cause)
        self.cost = self._cost()
        if self.cost >= cost:
            for array in self.drawn[cause.name]:
                array[[i, j]] = array[[j, i]]
            self.parts[cause.name], self.cost = before, cost
