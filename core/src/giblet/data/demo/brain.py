"""The demo's brains: hemodynamics, tuning of every voxel, and the noise that hides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from giblet.data.demo.atlas import Atlas, make_atlas
from giblet.data.demo.cleaning import clean_blocks
from giblet.data.demo.neurons import PROCESSES, UNITS, Populations, components, make_populations
from giblet.data.demo.schedule import N_TRS, TEST, TEST_RUN, TR_S, Float64, stream
from giblet.data.demo.world import FINE_HZ, World

N_PEOPLE = 6
PEAK_S = (4.3, 6.7)
"""From the earliest to the latest person; each is off by up to 0.3 s more, and each region by up to 1 s."""
CEILING = (0.3, 0.7)
SLICE_TIME_REF = 0.5


def hrf(peak_s: float, length_s: float = 36.0) -> Float64:
    """A double gamma stretched in time to peak at `peak_s`, at 10 Hz, area 1.

    Glover 1999, doi:10.1006/nimg.1998.0419.
    """
    t = np.arange(round(length_s * FINE_HZ)) / FINE_HZ
    fine = np.arange(0, 10, 0.001)
    stretched = t * fine[np.argmax(_glover(fine))] / peak_s
    return np.asarray(_glover(stretched) / _glover(stretched).sum())


def _glover(t: Float64) -> Float64:
    """Glover's fit to auditory cortex: n1 = 6, t1 = 0.9, n2 = 12, t2 = 0.9, a2 = 0.35."""
    first, second = ((t / (n * b)) ** n * np.exp(n - t / b) for n, b in ((6.0, 0.9), (12.0, 0.9)))
    return np.asarray(first - 0.35 * second)


@dataclass(frozen=True)
class Person:
    """One person: HRF peaks of the responsive parcels [A] in s, noiseless signal and noise, both [R runs, T, V].

    `parts` is what each process alone would have caused, [R, T, V] by process; `signal` and `noise` add up to BOLD
    around each voxel's `baseline` [V]. `on_time` is the signal as it would be had nothing been shifted.
    """

    peak_s: Float64
    signal: Float64
    on_time: Float64
    parts: dict[str, Float64]
    noise: Float64
    baseline: Float64

    @property
    def bold(self) -> Float64:
        """What the scanner measures, [R runs, T, V]."""
        return self.baseline + self.signal + self.noise


def make_people(world: World, shifted_s: float = 0.0) -> list[Person]:
    """All people of a world; with `shifted_s` their responses come that much later."""
    atlas = make_atlas()
    owners, x = components(world)
    populations = make_populations(world, owners, atlas)
    tuning = stream(world.seed, "tuning")
    shared = tuning.standard_normal((len(atlas.parcel), UNITS))
    offset_s = tuning.permutation(np.linspace(-1, 1, len(atlas.responsive)))
    target = tuning.uniform(*CEILING, len(atlas.parcel))
    peaks = tuning.permutation(np.linspace(*PEAK_S, N_PEOPLE)) + tuning.uniform(-0.3, 0.3, N_PEOPLE)
    return [
        _person(stream(world.seed, "person", i), atlas, populations, x, shared, peaks[i] + offset_s, target, shifted_s)
        for i in range(N_PEOPLE)
    ]


def _person(
    rng: np.random.Generator,
    atlas: Atlas,
    populations: Populations,
    x: Float64,
    shared: Float64,
    peak_s: Float64,
    target: Float64,
    shifted_s: float,
) -> Person:
    """A person shares the tuning of each voxel with the others up to gain and some idiosyncrasy."""
    tuning = shared + 0.4 * rng.standard_normal(shared.shape)
    tuning /= np.linalg.norm(tuning, axis=1, keepdims=True)
    gain = 8.0 * np.exp(0.3 * rng.standard_normal(len(tuning)))
    wanted = np.clip(target + rng.normal(0, 0.05, len(tuning)), *CEILING)
    everything = {name: populations.respond(x, only) for name, only in [("all", None), *((p, p) for p in PROCESSES)]}
    parts = {
        name: _measure(atlas, fine, tuning * gain[:, None], peak_s, shifted_s) for name, fine in everything.items()
    }
    signal = parts.pop("all")
    on_time = _measure(atlas, everything["all"], tuning * gain[:, None], peak_s, 0.0) if shifted_s else signal
    noise = _noise(rng, len(signal), len(gain))
    share = clean_blocks(signal)[TEST_RUN, TEST].var(0), clean_blocks(noise)[TEST_RUN, TEST].var(0)
    quiet = share[0] == 0
    scale = np.sqrt(np.where(quiet, gain**2, share[0]) * (1 / wanted**2 - 1) / share[1])
    return Person(peak_s, signal, on_time, parts, noise * scale, rng.uniform(800, 1200, len(gain)))


def _measure(atlas: Atlas, fine: Float64, tuning: Float64, peak_s: Float64, shifted_s: float) -> Float64:
    """Blur populations [R, n, A * 3] by each parcel's HRF, read them at each TR's middle, and mix them: [R, T, V]."""
    from scipy.signal import fftconvolve

    times = (np.arange(N_TRS) + SLICE_TIME_REF) * TR_S - shifted_s
    clock = (np.arange(fine.shape[1]) + 0.5) / FINE_HZ
    out = np.zeros((len(fine), N_TRS, len(atlas.parcel)))
    for a, parcel in enumerate(atlas.responsive):
        units = fine[:, :, a * UNITS : (a + 1) * UNITS]
        blurred = fftconvolve(units, hrf(peak_s[a])[None, :, None], axes=1)[:, : len(clock)]
        voxels = np.flatnonzero(atlas.parcel == parcel)
        for run in range(len(fine)):
            sampled = np.stack([np.interp(times, clock, unit, left=0.0) for unit in blurred[run].T], axis=1)
            out[run][:, voxels] = sampled @ tuning[voxels].T
    return out


def _noise(rng: np.random.Generator, runs: int, n_voxels: int) -> Float64:
    """AR(1) noise, a respiratory component that the whole head shares, and slow drift, [R, T, V], before scaling."""
    from scipy.signal import lfilter

    rho = rng.uniform(0.25, 0.5, n_voxels)
    white = rng.standard_normal((runs, N_TRS + 50, n_voxels)) * np.sqrt(1 - rho**2)
    auto = np.stack([lfilter([1], [1, -r], white[:, :, v], axis=1)[:, 50:] for v, r in enumerate(rho)], axis=2)
    lungs, slow = rng.uniform(0.3, 0.6, n_voxels), rng.uniform(0.5, 2.0, n_voxels)
    shared = np.stack([_breathing(rng) for _ in range(runs)])
    return np.asarray(auto + shared[:, :, None] * lungs + np.stack([_drift(rng, slow) for _ in range(runs)]))


def _breathing(rng: np.random.Generator) -> Float64:
    """Breathing at about 0.28 Hz whose depth wanders over half a minute, and the slow change of CO2 behind it, [T]."""
    t = (np.arange(N_TRS) + SLICE_TIME_REF) * TR_S
    depth = np.interp(t, np.arange(0, N_TRS * TR_S + 16, 15), rng.standard_normal(round(N_TRS * TR_S / 15) + 2))
    phase = 2 * np.pi * np.cumsum(0.28 + 0.02 * rng.standard_normal(N_TRS)) * TR_S
    return np.asarray(depth + 0.7 * (1 + 0.3 * depth) * np.sin(phase))


def _drift(rng: np.random.Generator, size: Float64) -> Float64:
    """A trend and three cosines slower than 1/160 Hz, [T, V]."""
    t = (np.arange(N_TRS) + 0.5) / N_TRS
    basis = np.stack([2 * t - 1, *(np.cos(np.pi * k * t) for k in (1, 2, 3))], axis=1)
    return np.asarray(basis @ rng.normal(0, 1, (4, len(size))) * size)


def phase_randomised(rng: np.random.Generator, bold: Float64) -> Float64:
    """Scans [T, V] with the same spectra and the same relations between voxels, and no relation to anything else.

    All voxels' phases are turned by the same random angles (Prichard and Theiler 1994,
    doi:10.1103/PhysRevLett.73.951).
    """
    spectrum = np.fft.rfft(bold, axis=0)
    turn = np.exp(2j * np.pi * rng.random(len(spectrum)))
    turn[0] = 1.0
    if len(bold) % 2 == 0:
        turn[-1] = 1.0
    return np.asarray(np.fft.irfft(spectrum * turn[:, None], n=len(bold), axis=0))
