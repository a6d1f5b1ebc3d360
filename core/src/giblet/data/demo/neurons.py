"""What the demo's causes do to neurons: nonlinear components, adapted, saturated and gated, at 10 Hz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.data.demo.atlas import NETWORKS, Atlas
from giblet.data.demo.schedule import CAUSES, Float64, stream
from giblet.data.demo.world import FINE_HZ, World
from giblet.types import Int

PROCESSES = ("picture", "sound", "story")
OWNER = dict(zip(NETWORKS[:3], PROCESSES, strict=True))
"""The process that each sensory network listens to; the association network listens to all three."""
ADAPTATION_S = 4.0
UNITS = 3
"""How many neural populations a parcel has."""


def saturate(x: Float64, half: float, power: float = 2.0) -> Float64:
    """The hyperbolic ratio x^n / (x^n + half^n) (Albrecht and Hamilton 1982, doi:10.1152/jn.1982.48.1.217)."""
    return np.asarray(x**power / (x**power + half**power))


def adapt(drive: Float64) -> Float64:
    """Divide a drive [n] by its own fading past, so that what lasts fades and what changes stands out."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / (ADAPTATION_S * FINE_HZ))
    trace = lfilter([0, 1 - keep], [1, -keep], drive, zi=np.array([drive[0] / 2]))[0]
    return np.asarray(drive / (1 + trace / drive.mean()))


def components(world: World) -> tuple[list[str], Float64]:
    """All neural components, standardised over all runs: the process of each [P], and [R runs, n, P]."""
    runs = [_components(world, run) for run in range(world.plan.films)]
    owners = [process for process, _ in runs[0]]
    x = np.stack([np.stack([series for _, series in run], axis=1) for run in runs])
    return owners, (x - x.mean((0, 1))) / x.std((0, 1))


def _components(world: World, run: int) -> list[tuple[str, Float64]]:
    at = world.fine(run)
    value = {c.name: world.value(c.name)[at] for c in CAUSES if c.values}
    level = {c.name: world.level[c.name][at] for c in CAUSES}
    parts = {"picture": _picture(value, level), "sound": _sound(value, level), "story": _story(value, level)}
    return [(process, series) for process in PROCESSES for series in parts[process]]


def _picture(value: dict[str, Float64], level: dict[str, Int]) -> list[Float64]:
    """Saturating motion energy, contrast, two colour axes gated by contrast, corners and holes blurred by motion."""
    contrast = saturate(value["contrast"], 0.4)
    sharp = 1 - 0.6 * saturate(value["motion"], 16.0)
    hue = np.deg2rad(value["colour"])
    corners, hole = np.isin(level["shape"], (1, 2)), level["shape"] == 3
    motion = saturate(value["motion"] * value["contrast"], 6.0)
    return [motion, contrast, contrast * np.cos(hue), contrast * np.sin(hue), corners * sharp, hole * sharp]


def _sound(value: dict[str, Float64], level: dict[str, Int]) -> list[Float64]:
    """Log amplitude modulation and height of pitch, both with adaptation, and two vowels gated by the rhythm."""
    rhythm = np.log2(1 + value["rhythm"])
    height = 0.1 + saturate(value["pitch"] / 110, 2.0, 4.0)
    vowels = [(level["vowel"] == k) * (0.3 + saturate(value["rhythm"], 4.0)) for k in (0, 1)]
    return [adapt(rhythm), adapt(height), *vowels]


def _story(value: dict[str, Float64], level: dict[str, Int]) -> list[Float64]:
    """Feeling that counts for living things, arousal, people, going and talking, and nature: each gated by another."""
    mood = value["valence"]
    alive = np.where(level["who"] == 2, 0.2, 1.0)
    awake = np.where(level["action"] == 3, 0.3, 1.0)
    stirred = 0.4 + 0.6 * np.abs(mood)
    people = np.isin(level["who"], (0, 3)) * awake
    going, talking = ((level["action"] == k) * stirred for k in (0, 1))
    nature = adapt(np.where(np.isin(level["place"], (1, 3)), 1.2, 0.2))
    return [mood * alive, np.abs(mood) * awake, people, going, talking, nature]


@dataclass(frozen=True)
class Populations:
    """The neural populations of every responsive parcel, 3 a parcel: mixing weights [populations, P]."""

    owners: list[str]
    weights: Float64
    compressed: np.ndarray

    def respond(self, x: Float64, only: str | None = None) -> Float64:
        """Neural activity [R, n, populations] of components [R, n, P], or what one process alone would cause."""
        mine = np.array([only is None or owner == only for owner in self.owners])
        drive = (x * mine) @ self.weights.T
        return np.where(self.compressed, np.tanh(drive), drive)


def make_populations(world: World, owners: list[str], atlas: Atlas) -> Populations:
    """Draw what each population listens to: three components of its own process, or two of each if in association."""
    rng = stream(world.seed, "populations")
    rows, compressed = [], []
    for network in np.repeat([atlas.network[p] for p in atlas.responsive], UNITS):
        processes = [OWNER[network]] if network in OWNER else list(PROCESSES)
        row = np.zeros(len(owners))
        for process in processes:
            candidates = [i for i, owner in enumerate(owners) if owner == process]
            chosen = rng.choice(candidates, 3 if len(processes) == 1 else 2, replace=False)
            row[chosen] = rng.normal(0, 1, len(chosen))
            row[chosen] /= np.linalg.norm(row[chosen]) * np.sqrt(len(processes))
        rows.append(row * (1.0 if len(processes) == 1 else 1.5))
        compressed.append(len(processes) > 1)
    return Populations(owners, np.stack(rows), np.array(compressed))
