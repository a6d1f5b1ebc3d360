"""`giblet run` in every brain space, from images to NIfTI, page and lesions."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.cli import main

pytestmark = pytest.mark.slow

SIDE, TRS, TR_S, PEOPLE = 4, 400, 1.5, 3
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
FEW = ["train.trunk_steps=60", "train.decoder_steps=20", "train.validate_every=10", "evaluate.random_lesions=5"]
FEW += ["evaluate.null_shifts=40", "evaluate.banded_candidates=2", "evaluate.lesion_draws=1", "model.latent=16"]
FEW += ["model.kernel_s=15", "split.gap_s=30"]
UNITS = {"downsampled": 8, "parcels": 4, "roi": 32, "pca": 6, "srm": 6}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three people whose first two slabs follow ratings, each with weights of their own."""
    folder, rng = tmp_path_factory.mktemp("spaces"), np.random.default_rng(0)
    ratings = rng.standard_normal((TRS, 3))
    np.savetxt(folder / "sight.tsv", ratings, delimiter="\t")
    drive, slab = convolve_hrf(ratings, canonical_hrf(TR_S)), np.repeat(np.arange(SIDE), SIDE * SIDE)
    lines = ['[study]\nname="s"\natlas="atlas.nii"\nlabels="atlas.tsv"\n[[stimulus]]\nname="f"']
    lines += [f'features.sight={{path="sight.tsv",tr_s={TR_S}}}']
    for k in range(PEOPLE):
        y = rng.normal(100, 1, (SIDE**3, TRS))
        y[slab < 2] += 2 * (drive @ rng.standard_normal((3, 32))).T
        save(folder / f"sub-{k}.nii", y.reshape(SIDE, SIDE, SIDE, TRS).astype(np.float32), TR_S)
        lines += [f'[[scan]]\nsubject="sub-{k}"\nrun="r"\nstimulus="f"\nbold="sub-{k}.nii"']
    save(folder / "mask.nii", np.ones((SIDE,) * 3, np.uint8))
    save(folder / "atlas.nii", (slab + 1).reshape((SIDE,) * 3).astype(np.uint8))
    (folder / "atlas.tsv").write_text("index\tname\tnetwork\n1\tone\tA\n2\ttwo\tA\n3\tthree\tB\n4\tfour\tB\n")
    (folder / "study.toml").write_text("\n".join(lines) + "\n")
    return folder


def save(path, values, tr_s=None):
    image = nibabel.Nifti1Image(values, AFFINE)
    if tr_s is not None:
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((3, 3, 3, tr_s))
    nibabel.save(image, path)


def call(study, *args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIBLET_CACHE", str(study / "cache"))
        with pytest.raises(SystemExit) as stop:
            main([*map(str, args)])
    return stop.value.code or 0


def run(study, out, *settings):
    options = [part for key in [*FEW, f"fmri.mask={study / 'mask.nii'}", *settings] for part in ("-o", key)]
    assert call(study, "run", study, *options, "--out", out) == 0
    return json.loads((out / "metrics.json").read_text("utf-8")), np.load(out / "maps.npz")


@pytest.mark.parametrize("space", UNITS)
def test_a_run_in_a_space_ends_in_the_brain(study, tmp_path, space):
    settings = [f"fmri.space={space}"]
    settings += ["fmri.components=6"] if space in ("pca", "srm") else []
    settings += ['fmri.labels=["A"]'] if space == "roi" else []
    out = tmp_path / "run"
    metrics, maps = run(study, out, *settings)
    model = json.loads((out / "model" / "model.json").read_text("utf-8"))
    assert set(model["voxels"].values()) == {UNITS[space]}
    voxels = int(maps["mask"].sum())
    assert voxels == (32 if space == "roi" else 64)
    for name in ("r_group", "weight_group", "region"):
        assert maps[name].shape == (voxels,)
    r = {name: row["r"] for name, row in metrics["fmri"]["regions"].items()}
    assert r["A"] > 0.3
    assert "B" not in r or r["A"] > r["B"] + 0.2
    made = nibabel.load(out / "predictions" / "sub-1_r_predicted.nii.gz")
    assert made.shape[:3] == (SIDE,) * 3
    assert (np.asarray(made.dataobj).std(-1)[maps["mask"]] > 0).all()
    lesion = ["--component", 0] if space in ("pca", "srm") else ["--sphere", "0,0,0,5.5"]
    if space != "parcels":  # a slab is larger than the sphere
        assert call(study, "lesion", out, *lesion, "--random", 5, "--draws", 1, "--out", tmp_path / "lesion") == 0
        assert (tmp_path / "lesion" / "lesion.png").stat().st_size > 5000
    scan = study / "sub-1.nii"
    assert call(study, "decode", out, scan, "--out", tmp_path / "decoded") == 2, "ratings cannot be played"


def test_the_average_person_is_one(study, tmp_path):
    metrics, _ = run(study, tmp_path / "run", "fmri.subjects=average")
    assert list(metrics["fmri"]["subjects"]) == ["average"]
    assert metrics["fmri"]["regions"]["A"]["r"] > 0.3
    assert (tmp_path / "run" / "predictions" / "average_r_predicted.nii.gz").exists()


def test_the_grid_space_feeds_the_grid_preset(study, tmp_path):
    settings = [
        "fmri.space=grid",
        "model.preset=grid",
        "model.scale=0.002",
        "model.grid_step=2",
        "train.trunk_steps=10",
    ]
    brain = np.ones((SIDE,) * 3, np.uint8)
    brain[2] = 0
    save(tmp_path / "brain.nii", brain)
    few = [key for key in FEW if "latent" not in key and "trunk_steps" not in key]
    options = [part for key in [*few, f"fmri.mask={tmp_path / 'brain.nii'}", *settings] for part in ("-o", key)]
    assert call(study, "run", study, *options, "--out", tmp_path / "run") == 0
    maps = np.load(tmp_path / "run" / "maps.npz")
    np.testing.assert_array_equal(maps["mask"], brain)
    assert maps["r_group"].shape == (48,), "only voxels inside the mask are scored"
