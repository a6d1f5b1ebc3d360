"""What can be known of a demo world: ceilings, oracles, and what ridges on its causes reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from giblet.data.demo.atlas import make_atlas
from giblet.data.demo.brain import N_PEOPLE, Person, hrf
from giblet.data.demo.cleaning import clean_blocks
from giblet.data.demo.decoding import decoding_table
from giblet.data.demo.lesions import lesion_table
from giblet.data.demo.neurons import components
from giblet.data.demo.schedule import N_TRS, TEST, TEST_RUN, TR_S, Float64, Plan
from giblet.data.demo.world import FINE_HZ, World

VERSION = 2
LAGS = 20
CANONICAL_PEAK_S = 5.5
PENALTIES = 10.0 ** np.arange(-1, 7)
DEFINITIONS = {
    "cleaning": "constant, trend and cosines below 1/128 Hz regressed out of each block of the split by itself",
    "ceiling": "sqrt(signal / (signal + noise variance)), cleaned, over the test TRs; 0 where nothing is heard",
    "oracle_r": "r of the cleaned noiseless signal, not shifted, with the cleaned scan over the test TRs",
    "fir_r": "r over the test TRs of a ridge on 20 lags of all latents, fitted on train, penalty chosen on validation",
    "canonical_r": "as fir_r, of the latent series each blurred by a canonical HRF that peaks at 5.5 s",
    "informed_r": "as canonical_r, of the true nonlinear components: what these scans can teach of the right form",
    "group": "the mean over people of scans cleaned and divided by their SD over the training TRs",
    "order": "voxels are those of the atlas above 0, in C order (x slowest)",
    "signal": "cleaned noiseless signal in SD, mean over people and over a parcel's voxels, all runs end to end",
    "decoding": "share of 9 s test clips told from another, 30 s or more away, by correlating voxels in noise SD "
    "with what the process alone causes; 'all' is over all voxels, 0.5 is chance, null where no pair could be told",
    "lesions": "effect: what a linear reader of all test scans, who knows noiseless ones and takes noise for "
    "independent, loses of what a process causes, over its power, when a region shows another moment of each person; "
    "power: a region's share of what a process causes in all runs, in noise SD; first: which modality a region's loss "
    "costs most",
}


def rows(role: str, plan: Plan) -> np.ndarray:
    """Which TRs of all runs, end to end, play a role in the split, [R * T] bool."""
    out = np.zeros((plan.films, N_TRS), bool)
    for run, blocks in enumerate(plan.split.values()):
        for kind, first, last in blocks:
            out[run, first:last] |= kind == role
    return out.ravel()


def correlation(a: Float64, b: Float64) -> Float64:
    """Pearson r of each column of a and b [T, V]; 0 where either is constant."""
    a, b = a - a.mean(0), b - b.mean(0)
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return np.asarray(np.divide((a * b).sum(0), size, out=np.zeros_like(size), where=size > 1e-9))


def make_truth(
    world: World, people: list[Person], scans: list[Float64], *, null: bool, shifted_s: float
) -> dict[str, Any]:
    """Everything that `truth.json` says, of people and of their scans [R, T, V] as written."""
    names, latents = world.latents()
    cleaned = [clean_blocks(scan) for scan in scans]
    signals = [clean_blocks(p.signal) for p in people]
    noises = [clean_blocks(p.noise) for p in people]
    on_time = [clean_blocks(p.on_time) for p in people]
    scale = [c.reshape(-1, c.shape[-1])[rows("train", world.plan)].std(0) for c in cleaned]
    kinds = (cleaned, signals, noises, on_time)
    group = [np.mean([x / s for x, s in zip(each, scale, strict=True)], axis=0) for each in kinds]
    every = [*zip(*kinds, strict=True), tuple(group)]
    targets = [each[0] for each in every]
    designs = {
        "fir_r": lagged(latents),
        "canonical_r": _blurred(world.linear()),
        "informed_r": _blurred(components(world)[1]),
    }
    ridges = {name: ridge_r(design, targets) for name, design in designs.items()}
    learned = [{name: r[i] for name, r in ridges.items()} for i in range(len(every))]
    voxels = [_scores(*each, null=null) | more for each, more in zip(every, learned, strict=True)]
    scores = [{**score, "mean": _means(score)} for score in voxels]
    atlas = make_atlas()
    parcels = [group[3].reshape(-1, len(atlas.parcel))[:, atlas.parcel == p].mean(1) for p in atlas.responsive]
    return _plain(
        {
            "version": VERSION,
            "seed": world.seed,
            "null": null,
            "shifted_s": shifted_s,
            "films": world.plan.films,
            "definitions": DEFINITIONS,
            "split": world.plan.split,
            "voxel_parcel": [atlas.names[p] for p in atlas.parcel],
            "subjects": {f"sub-{i + 1:02d}": scores[i] | {"hrf_peak_s": _peaks(people[i])} for i in range(N_PEOPLE)},
            "group": scores[-1],
            "decoding": decoding_table(people, every, scale, shifted_s),
            "lesions": None if null else lesion_table(people),
            "latents": dict(zip(names, latents.reshape(-1, len(names)).T, strict=True)),
            "signal": dict(zip([atlas.names[p] for p in atlas.responsive], parcels, strict=True)),
        }
    )


def _peaks(person: Person) -> dict[str, float]:
    atlas = make_atlas()
    return {atlas.names[p]: float(peak) for p, peak in zip(atlas.responsive, person.peak_s, strict=True)}


def _scores(y: Float64, signal: Float64, noise: Float64, on_time: Float64, *, null: bool) -> dict[str, Float64]:
    """Ceiling and oracle of each voxel, [V]."""
    power, other = signal[TEST_RUN, TEST].var(0), noise[TEST_RUN, TEST].var(0)
    ceiling = np.sqrt(power / (power + other)) * (not null)
    return {"ceiling": ceiling, "oracle_r": correlation(on_time[TEST_RUN, TEST], y[TEST_RUN, TEST])}


def _means(score: dict[str, Float64]) -> dict[str, float | None]:
    """The means over voxels whose ceiling is at least 0.1."""
    heard = score["ceiling"] >= 0.1
    return {name: float(r[heard].mean()) if heard.any() else None for name, r in score.items()}


def lagged(latents: Float64) -> Float64:
    """Latents [R, T, L] and their past, zero before a run, [R, T, L * 20]."""
    padded = np.pad(latents - latents.mean((0, 1)), ((0, 0), (LAGS, 0), (0, 0)))
    return np.concatenate([padded[:, LAGS - k : LAGS - k + N_TRS] for k in range(LAGS)], axis=2)


def _blurred(fine: Float64) -> Float64:
    """Series at 10 Hz [R, n, P] after a canonical HRF, read at the middle of each TR, [R, T, P]."""
    from scipy.signal import fftconvolve

    blurred = fftconvolve(fine - fine.mean((0, 1)), hrf(CANONICAL_PEAK_S)[None, :, None], axes=1)
    step = round(TR_S * FINE_HZ)
    return np.asarray(blurred[:, step // 2 : fine.shape[1] : step])


def ridge_r(design: Float64, scans: list[Float64]) -> list[Float64]:
    """How well a ridge on a design [R, T, P] predicts the cleaned test scans [R, T, V], r [V] for each of them.

    One penalty a person, the one whose mean r over voxels is best in the validation block.
    """
    x = clean_blocks(design).reshape(len(design) * N_TRS, -1)
    train, validation, test = (rows(role, Plan(len(design))) for role in ("train", "validation", "test"))
    x = x / x[train].std(0)
    values, vectors = np.linalg.eigh(x[train] @ x[train].T)
    across = {role: x[mask] @ x[train].T @ vectors for role, mask in (("validation", validation), ("test", test))}
    return [_ridge(across, values, vectors, scan.reshape(len(x), -1), train, validation, test) for scan in scans]


def _ridge(
    across: dict[str, Float64],
    values: Float64,
    vectors: Float64,
    y: Float64,
    train: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
) -> Float64:
    rotated = vectors.T @ y[train]
    duals = [rotated / (np.maximum(values, 0) + penalty)[:, None] for penalty in PENALTIES]
    tried = [correlation(across["validation"] @ dual, y[validation]).mean() for dual in duals]
    return correlation(across["test"] @ duals[int(np.argmax(tried))], y[test])


def _plain(value: Any) -> Any:
    """Arrays as lists, numbers to four decimals, so that the file is small and the same everywhere."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return np.round(value.astype(float), 4).tolist()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return round(float(value), 4) if isinstance(value, float | np.floating) else value
