"""The demo study as a BIDS data set with derivatives named as fMRIPrep names them, and with motion in its scans."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from giblet.data.demo.atlas import make_atlas
from giblet.data.demo.brain import N_PEOPLE
from giblet.data.demo.confounds import draw_confounds, mix, of_scan
from giblet.data.demo.schedule import N_TRS, TR_S, Plan, stream
from giblet.data.demo.write import make_demo, whole_folder
from giblet.types import Array

TASK = "demo"
SPACE = "MNI152NLin2009cAsym"
DERIVATIVES = Path("derivatives", "fmriprep")


def make_bids_demo(
    folder: Path,
    seed: int = 0,
    null: bool = False,
    shifted_s: float = 0.0,
    progress: Callable[[str], None] | None = None,
    *,
    films: int = 2,
) -> Path:
    """Make the demo study as a BIDS data set, the same for the same seed, and return its folder.

    Films, annotations, atlas and truth are those of `make_demo`. The scans are, too, with motion and the means of white
    matter and CSF added, which the tables of confounds hold: what a regression on these leaves is as in `make_demo`.

    Raises
    ------
    ConfigError, DataError
        As `make_demo`.
    """
    with whole_folder(folder) as unfinished:
        plain = unfinished / "plain"
        make_demo(plain, seed, null, shifted_s, progress, films=films)
        _describe(unfinished)
        runs = Plan(films).runs
        _move_stimuli(plain, unfinished, runs)
        for i in range(N_PEOPLE):
            for r, run in enumerate(runs):
                _write_run(plain, unfinished, i, run, stream(seed, "confounds", i, r))
        shutil.rmtree(plain)
    return folder


def _describe(root: Path) -> None:
    made_by = {"BIDSVersion": "1.10.0", "GeneratedBy": [{"Name": "giblet demo"}]}
    _write_json(root / "dataset_description.json", {"Name": "giblet demo", "DatasetType": "raw", **made_by})
    derived = {"Name": "giblet demo, as fMRIPrep names it", "DatasetType": "derivative", **made_by}
    _write_json(root / DERIVATIVES / "dataset_description.json", derived)


def _move_stimuli(plain: Path, root: Path, runs: Sequence[str]) -> None:
    (root / "stimuli").mkdir()
    for run in runs:
        stim = _stim(run)
        (plain / f"{run}.mp4").rename(root / "stimuli" / f"{stim}_audiovideo.mp4")
        (plain / f"{run}_annotations.tsv").rename(root / "stimuli" / f"{stim}_annot-story_events.tsv")
    (plain / "truth.json").rename(root / "truth.json")
    atlas = root / DERIVATIVES / f"tpl-{SPACE}_atlas-demo_dseg"
    (plain / "atlas.nii").rename(atlas.with_suffix(".nii"))
    (plain / "atlas.tsv").rename(atlas.with_suffix(".tsv"))


def _stim(run: str) -> str:
    return f"stim-{run.replace('-', '')}"


def _write_run(plain: Path, root: Path, person: int, run: str, rng: np.random.Generator) -> None:
    """One scan with its mask, confounds and events."""
    import nibabel

    subject = f"sub-{person + 1:02d}"
    image = nibabel.load(plain / f"{subject}_{run}_bold.nii")
    table = draw_confounds(rng)
    head = make_atlas().mask
    scan = np.asarray(image.dataobj).astype(np.float32)
    scan[head] = mix(rng, scan[head], table)
    raw = root / subject / "func" / f"{subject}_task-{TASK}_{run}"
    out = root / DERIVATIVES / subject / "func" / raw.name
    _write_events(raw.with_name(f"{raw.name}_events.tsv"), f"{_stim(run)}_audiovideo.mp4")
    _write_image(f"{out}_space-{SPACE}_desc-preproc_bold", scan, image)
    _write_image(f"{out}_space-{SPACE}_desc-brain_mask", head.astype(np.uint8), image)
    _write_confounds(f"{out}_desc-confounds_timeseries", table | of_scan(scan[head]))


def _write_events(path: Path, film: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["onset\tduration\ttrial_type\tstim_file", f"0\t{N_TRS * TR_S:g}\tfilm\t{film}", ""]
    path.write_text("\n".join(rows), encoding="utf-8")


def _write_image(stem: str, values: Array, like: Any) -> None:
    """An image on the grid of another, and of a scan the sidecar."""
    import nibabel

    Path(stem).parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, like.affine)
    image.header.set_zooms(like.header.get_zooms()[: values.ndim])
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, f"{stem}.nii.gz")
    if values.ndim == 4:
        facts = {"RepetitionTime": TR_S, "StartTime": TR_S / 2, "TaskName": TASK, "SkullStripped": False}
        _write_json(Path(f"{stem}.json"), facts)


def _write_confounds(stem: str, table: Mapping[str, Array]) -> None:
    rows = ["\t".join("n/a" if np.isnan(x) else f"{x:.6f}" for x in row) for row in zip(*table.values(), strict=True)]
    Path(f"{stem}.tsv").write_text("\n".join(["\t".join(table), *rows, ""]), encoding="utf-8")
    _write_json(Path(f"{stem}.json"), {name: {} for name in table})


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
