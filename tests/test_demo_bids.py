"""The demo study as a BIDS data set: found by giblet itself, and with confounds that a regression takes out again."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from giblet import study_from_bids
from giblet.alignment import clean
from giblet.data.demo import bids
from giblet.data.demo.atlas import make_atlas
from giblet.data.demo.confounds import MOTION, TISSUE, draw_confounds, mix, of_scan
from giblet.data.demo.schedule import N_TRS, TR_S, Plan
from giblet.errors import ConfigError
from giblet.media import read_nuisance
from nilearn.interfaces.fmriprep import load_confounds

ADDED = (*MOTION, *TISSUE)


def plain_demo(folder, seed, null, shifted_s, progress, *, films=2):
    """What `make_demo` leaves, without films and with noise for scans."""
    folder.mkdir()
    atlas = make_atlas()
    for run in Plan(films).runs:
        (folder / f"{run}.mp4").write_bytes(b"film")
        (folder / f"{run}_annotations.tsv").write_text("onset\tduration\ttext\n0\t2\ta dog\n")
        for person in (1, 2):
            scan = np.random.default_rng(person).normal(1000, 8, (*atlas.mask.shape, N_TRS)).astype(np.float32)
            image = nibabel.Nifti1Image(scan, atlas.affine())
            image.header.set_zooms((12, 12, 12, TR_S))
            nibabel.save(image, folder / f"sub-{person:02d}_{run}_bold.nii")
    (folder / "truth.json").write_text(json.dumps({"split": Plan(films).split, "seed": seed}))
    nibabel.save(
        nibabel.Nifti1Image(atlas.volume((atlas.parcel + 1).astype(np.int16)), atlas.affine()), folder / "atlas.nii"
    )
    (folder / "atlas.tsv").write_text(atlas.table())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bids, "make_demo", plain_demo)
        patch.setattr(bids, "N_PEOPLE", 2)
        return bids.make_bids_demo(tmp_path_factory.mktemp("demo") / "ds", seed=3)


def test_more_films_are_more_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(bids, "make_demo", plain_demo)
    monkeypatch.setattr(bids, "N_PEOPLE", 2)
    study = study_from_bids(bids.make_bids_demo(tmp_path / "ds", seed=3, films=3), "demo")
    assert study.runs == ("run-1", "run-2", "run-3")
    assert study.split == Plan(3).split
    assert {(s.subject, s.run) for s in study.scans} == {(p, r) for p in study.subjects for r in study.runs}


def test_it_is_found_by_its_names(folder):
    study = study_from_bids(folder, "demo")
    assert (study.subjects, study.runs) == (("sub-01", "sub-02"), ("run-1", "run-2"))
    assert study.split == Plan().split
    assert study.truth == folder / "truth.json"
    assert study.atlas.name == "tpl-MNI152NLin2009cAsym_atlas-demo_dseg.nii"
    assert study.labels.read_text() == make_atlas().table()
    for s in study.scans:
        assert (s.tr_s, s.n_volumes, s.slice_time_ref, s.offset_s) == (TR_S, N_TRS, 0.5, 0)
        assert s.mask is not None
        assert set(study.stimulus(s.stimulus).files) == {"video", "audio", "text"}
    mask = np.asarray(nibabel.load(study.scans[0].mask).dataobj)
    np.testing.assert_array_equal(mask, make_atlas().mask)
    assert json.loads((folder / "dataset_description.json").read_text())["DatasetType"] == "raw"
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []


def test_nilearn_reads_its_confounds(folder):
    for s in study_from_bids(folder).scans:
        frame, kept = load_confounds(str(s.bold), ("motion", "wm_csf", "global_signal", "scrub"), motion="full")
        assert frame.shape == (N_TRS, 24 + 2 + 1)
        assert kept is None or len(kept) > 0.8 * N_TRS


def test_what_was_added_leaves_again_block_by_block(folder, tmp_path):
    """Scans with motion, cleaned of it, are the plain demo's cleaned of the same."""
    plain_demo(tmp_path / "plain", 3, False, 0.0, None)
    study = study_from_bids(folder)
    for r, run in enumerate(study.runs):
        scan = next(s for s in study.scans if (s.subject, s.run) == ("sub-02", run))
        blocks = [slice(first, last) for at, first, last in Plan().blocks if at == r]
        y, plain = (
            np.asarray(nibabel.load(p).dataobj)[make_atlas().mask][:50].T.astype(float)
            for p in (scan.bold, tmp_path / "plain" / f"sub-02_{run}_bold.nii")
        )
        assert np.std(y - plain) > 4
        x = read_nuisance(scan.source()).regressors
        ours, wanted = (clean(z, blocks, TR_S, confounds=x) for z in (y, plain))
        np.testing.assert_allclose(ours, wanted, atol=2e-3)  # scans are float32, near 1,000


def test_confounds_are_what_their_names_say():
    rng = np.random.default_rng(0)
    table = draw_confounds(rng)
    scan = rng.normal(1000, 8, (30, N_TRS))
    mixed = mix(rng, scan, table)
    share = (mixed - scan).std(1) / scan.std(1)
    assert 0.2 < share.mean() < 1.2
    change = np.abs(np.diff([table[m] for m in MOTION], axis=1))
    moved = change[:3].sum(0) + 50 * change[3:].sum(0)
    np.testing.assert_allclose(table["framewise_displacement"][1:], moved, atol=1e-3)
    assert np.isnan(table["trans_x_derivative1"][0])
    np.testing.assert_array_equal(table["rot_y_power2"], table["rot_y"] ** 2)
    np.testing.assert_allclose(of_scan(mixed)["global_signal"], mixed.mean(0))
    assert np.nanmedian(of_scan(mixed)["std_dvars"]) == pytest.approx(1)


def test_a_folder_that_holds_something_is_refused(folder):
    with pytest.raises(ConfigError, match="already holds something"):
        bids.make_bids_demo(folder)
