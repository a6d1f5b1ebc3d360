"""Writing a demo study: all of it, or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from giblet.data.assemble import check_tr, without
from giblet.data.demo.atlas import VOXEL_MM, make_atlas
from giblet.data.demo.brain import N_PEOPLE, SLICE_TIME_REF, make_people, phase_randomised
from giblet.data.demo.mux import write_film
from giblet.data.demo.schedule import N_TRS, TR_S, Float64, Plan, stream
from giblet.data.demo.story import annotation_table
from giblet.data.demo.truth import make_truth
from giblet.data.demo.world import World, make_world
from giblet.data.parts import Scan, Stimulus, Study
from giblet.data.study_file import StudyFile
from giblet.errors import ConfigError, DataError
from giblet.types import seconds

AT_ONCE = 2
"""Films that are rendered at the same time."""


def make_demo(
    folder: Path,
    seed: int = 0,
    null: bool = False,
    shifted_s: float = 0.0,
    progress: Callable[[str], None] | None = None,
    *,
    films: int = 2,
) -> Path:
    """Make the study with a known truth, the same for the same seed, and return the path of its study.toml.

    Films of 8 min with annotations, six people, 1,072 voxels each, an atlas and `truth.json`. `null`
    phase-randomises the scans; `shifted_s` makes responses that many seconds late although study.toml says offset 0.
    Of `films`, the second trains, validates and tests and all others train; each number of them has other films, and
    the same brains.

    Raises
    ------
    ConfigError
        If the folder already holds something, or there are fewer than two films.
    DataError
        If `shifted_s` is not a time, or longer than a run.
    """
    if abs(seconds(shifted_s)) > N_TRS * TR_S:
        raise DataError(
            f"a shift of {shifted_s:g} s is longer than a run of the demo, {N_TRS * TR_S:g} s; give a shorter one"
        )
    plan = Plan(films)
    with whole_folder(folder) as unfinished:
        _make(unfinished, seed, plan, null, shifted_s, progress or (lambda _: None))
    return Path(folder).absolute() / "study.toml"


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """A folder to write into that gets its name when the block ends well, and goes when it does not.

    Raises
    ------
    ConfigError
        If there is something of that name already.
    """
    folder = Path(place).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} already holds something; remove it or name another folder for the demo")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _make(folder: Path, seed: int, plan: Plan, null: bool, shifted_s: float, say: Callable[[str], None]) -> None:
    say("demo: three latent processes")
    world = make_world(seed, plan.films)
    say(f"demo: {plan.films} films of 8 min with sound, and the story")
    rendered = _render(folder, world)
    for r, run in enumerate(plan.runs):
        (folder / f"{run}_annotations.tsv").write_text(annotation_table(world, r), encoding="utf-8")
    say("demo: six people")
    _write_people(folder, world, null, shifted_s)
    _write_atlas(folder)
    (folder / "study.toml").write_text(study_toml(plan), encoding="utf-8")
    list(rendered)


def _render(folder: Path, world: World) -> Iterable[None]:
    """Start rendering films in processes of their own; all are there when the result is exhausted."""
    from joblib import Parallel, delayed

    jobs = [delayed(write_film)(folder / f"{run}.mp4", world, r) for r, run in enumerate(world.plan.runs)]
    return cast("Iterable[None]", Parallel(n_jobs=AT_ONCE, return_as="generator")(jobs))


def _write_people(folder: Path, world: World, null: bool, shifted_s: float) -> None:
    people = make_people(world, shifted_s)
    scans = [person.bold for person in people]
    if null:
        scans = [
            np.stack([phase_randomised(stream(world.seed, "null", i, r), y) for r, y in enumerate(scan)])
            for i, scan in enumerate(scans)
        ]
    for i, scan in enumerate(scans):
        for r, run in enumerate(world.plan.runs):
            _write_bold(folder / f"sub-{i + 1:02d}_{run}_bold", scan[r], stream(world.seed, "background", i, r))
    truth = make_truth(world, people, scans, null=null, shifted_s=shifted_s)
    (folder / "truth.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="utf-8")


def _write_bold(stem: Path, scan: Float64, rng: np.random.Generator) -> None:
    """A run's BOLD [T, V] as float32 NIfTI with faint noise outside the head, and its sidecar."""
    import nibabel

    atlas = make_atlas()
    image = atlas.volume(scan.T.astype(np.float32))
    image[~atlas.mask] = np.abs(rng.normal(0, 4, (int((~atlas.mask).sum()), len(scan)))).astype(np.float32)
    nifti = nibabel.Nifti1Image(image, atlas.affine())
    nifti.header.set_zooms((VOXEL_MM, VOXEL_MM, VOXEL_MM, TR_S))
    nifti.header.set_xyzt_units("mm", "sec")
    nibabel.save(nifti, stem.with_suffix(".nii"))
    sidecar = {"RepetitionTime": TR_S, "slice_time_ref": SLICE_TIME_REF, "TaskName": "demo"}
    stem.with_suffix(".json").write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")


def _write_atlas(folder: Path) -> None:
    import nibabel

    atlas = make_atlas()
    nifti = nibabel.Nifti1Image(atlas.volume((atlas.parcel + 1).astype(np.int16)), atlas.affine())
    nifti.header.set_xyzt_units("mm", "sec")
    nibabel.save(nifti, folder / "atlas.nii")
    (folder / "atlas.tsv").write_text(atlas.table(), encoding="utf-8")


def demo_outline(folder: Path, tr_s: Fraction | None = None, exclude: Collection[str] = ()) -> Study:
    """The study that a demo would be in a folder, before there are files.

    Raises
    ------
    ConfigError
        If the TR is not positive, or somebody who is excluded does not exist.
    """
    check_tr(tr_s)
    entries = StudyFile.model_validate(tomllib.loads(study_toml(Plan())))
    stimuli = [Stimulus(e.name, _files(e.name, folder)) for e in entries.stimulus]
    length = (tr_s or seconds(TR_S), N_TRS)
    scans = [Scan(e.subject, e.run, e.stimulus, folder / e.bold, *length) for e in without(entries.scan, exclude)]
    split = {run: tuple(blocks) for run, blocks in entries.split.items()}
    return Study(entries.study.name, folder, tuple(stimuli), tuple(scans), split)


def _files(run: str, folder: Path) -> dict[str, Path]:
    film = folder / f"{run}.mp4"
    return {"video": film, "audio": film, "text": folder / f"{run}_annotations.tsv"}


def study_toml(plan: Plan) -> str:
    """The study file of a demo."""
    films = "two" if plan.films == 2 else plan.films
    head = f'[study]\nname = "demo"\ndescription = "A made-up world of known truth: {films} films, six people"\n'
    files = 'atlas = "atlas.nii"\nlabels = "atlas.tsv"\ntruth = "truth.json"\n'
    stimuli = [
        f'[[stimulus]]\nname = "{r}"\nfilm = "{r}.mp4"\nannotations = "{r}_annotations.tsv"\n' for r in plan.runs
    ]
    scans = [
        f'[[scan]]\nsubject = "{s}"\nrun = "{r}"\nstimulus = "{r}"\nbold = "{s}_{r}_bold.nii"\noffset_s = 0.0\n'
        for s in (f"sub-{i + 1:02d}" for i in range(N_PEOPLE))
        for r in plan.runs
    ]
    split = "[split]\n" + "".join(f'"{run}" = {json.dumps(blocks)}\n' for run, blocks in plan.split.items())
    return "\n".join([head + files, *stimuli, *scans, split])
