"""Studies of any size, made of noise, slab by slab: for benchmarks of time and memory, in which no value counts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TR_S = 1.5
FRAME_HZ = Fraction(25)
SOUND_HZ = 24_000
SLAB_BYTES = 32 << 20
PICTURES = 250
"""How many different pictures a film repeats."""


def box(voxels: int) -> tuple[int, int, int]:
    """Sides of a box of exactly so many voxels, as even as their divisors allow."""
    z = max(k for k in range(1, round(voxels ** (1 / 3)) + 1) if voxels % k == 0)
    y = max(k for k in range(1, round((voxels // z) ** 0.5) + 1) if (voxels // z) % k == 0)
    return voxels // z // y, y, z


def write_scan(path: Path, voxels: int, trs: int, seed: int) -> None:
    """Noise as a NIfTI of int16, all of whose voxels are brain; a slab of volumes is in memory at a time."""
    import nibabel as nib

    header = nib.Nifti1Header()
    header.set_data_shape((*box(voxels), trs))
    header.set_data_dtype(np.int16)
    header.set_zooms((3, 3, 3, TR_S))
    header.set_xyzt_units("mm", "sec")
    header.set_qform(np.diag([3.0, 3, 3, 1]), 1)
    header.set_sform(np.diag([3.0, 3, 3, 1]), 1)
    header["vox_offset"] = 352
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        header.write_to(file)
        file.write(bytes(352 - file.tell()))
        step = max(1, SLAB_BYTES // (4 * voxels))
        for at in range(0, trs, step):
            noise = rng.standard_normal((min(step, trs - at), voxels), np.float32)
            (1000 + 50 * noise).astype(np.int16).tofile(file)


def write_mask(path: Path, voxels: int) -> Path:
    """The mask that keeps every voxel of such a scan."""
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.ones(box(voxels), np.uint8), np.diag([3.0, 3, 3, 1])), path)
    return path


def pictures(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """Soft noise of 160 x 90 pixels that drifts, 25 a second; the same again every ten seconds."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    whole = np.kron(coarse, np.ones((9, 9, 1), np.uint8))
    made = [np.ascontiguousarray(np.roll(whole, k, axis=1)[:90, :160]) for k in range(PICTURES)]
    return (made[k % PICTURES] for k in range(int(seconds * FRAME_HZ)))


def write_film(path: Path, seconds: float) -> Path:
    """A film with sound, 160 x 90 pixels, 25 pictures a second."""
    from giblet.media.writing import write_film as write

    t = np.arange(round(seconds * SOUND_HZ)) / np.float32(SOUND_HZ)
    sound = (0.2 * np.sin(2 * np.pi * 220 * t) * (t % 1 < 0.5)).astype(np.float32)
    return write(path, pictures(seconds), FRAME_HZ, sound, SOUND_HZ)


def make_study(
    folder: Path,
    trs: int,
    voxels: int,
    people: int,
    *,
    runs: int = 1,
    film_s: float | None = None,
    distinct: int | None = None,
) -> Path:
    """A study of `runs`, everybody in each; without a film, 32 features a TR take its place.

    People beyond the `distinct` first ones are given the scans of these, which saves disk and changes no size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = [f'[study]\nname = "made"\ntr_s = {TR_S}\n']
    for r in range(runs):
        text += [_stimulus(folder, f"film-{r}", trs, film_s), *_scans(folder, r, trs, voxels, people, distinct)]
    write_mask(folder / "mask.nii", max(voxels, 1))
    (folder / "study.toml").write_text("\n".join(text), encoding="utf-8")
    return folder / "study.toml"


def _stimulus(folder: Path, name: str, trs: int, film_s: float | None) -> str:
    entry = f'[[stimulus]]\nname = "{name}"\n'
    if film_s is not None:
        return entry + f'film = "{write_film(folder / f"{name}.mp4", film_s).name}"\n'
    rng = np.random.default_rng([9, len(list(folder.iterdir()))])
    np.save(folder / f"{name}.npy", rng.standard_normal((trs, 32)).astype(np.float32))
    return entry + f'features = {{ table = "{name}.npy" }}\n'


def _scans(folder: Path, run: int, trs: int, voxels: int, people: int, distinct: int | None) -> list[str]:
    files = [folder / f"sub-{k + 1:02d}_run-{run}.nii" for k in range(people)]
    for k, path in enumerate(files):
        if k < (distinct or people):
            write_scan(path, voxels, trs, 1000 * run + k)
        else:
            path.hardlink_to(files[k % (distinct or people)])
    where = f'run = "run-{run}"\nstimulus = "film-{run}"\n'
    return [f'[[scan]]\nsubject = "{p.name[:6]}"\nbold = "{p.name}"\n{where}' for p in files]
