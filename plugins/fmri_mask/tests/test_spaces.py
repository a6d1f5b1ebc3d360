"""Brain spaces: what their units are, that they map back, and what of them is learned from what."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from giblet import ConfigError, DataError, Features, Source
from giblet.testing import modality_checks
from giblet_fmri_mask import FmriMask
from giblet_fmri_mask.learned import basis_of, mean_response, principal_components, shared_response
from giblet_fmri_mask.units import cells, means
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nilearn.image import smooth_img
from nilearn.maskers import NiftiLabelsMasker
from sklearn.decomposition import PCA

HERE = Path(__file__).parent
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE, N = (7, 8, 6), 30
MASKS = hnp.arrays(bool, st.tuples(*[st.integers(1, 5)] * 3)).filter(np.any)


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def write_scan(path, seed=0):
    return save(path, np.random.default_rng(seed).normal(1000, 10, (*SHAPE, N)).astype(np.float32))


def labels():
    """Parcels 2, 4, 5 and 9 in slices along x; the last slice has none."""
    out = np.zeros(SHAPE, np.int16)
    out[:6] = np.repeat([2, 4, 5, 9], [2, 2, 1, 1])[:, None, None]
    return out


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    mask = np.ones(SHAPE, np.uint8)
    mask[0, 0], mask[:, :, 0] = 0, 0
    (folder / "names.tsv").write_text("index\tname\tnetwork\n2\tV1\tvisual\n4\tA1\taudio\n5\tA2\taudio\n9\tL\tother\n")
    return {
        "scan": write_scan(folder / "scan.nii"),
        "mask": save(folder / "mask.nii", mask),
        "atlas": save(folder / "atlas.nii", labels()),
        "names": folder / "names.tsv",
    }


def fit(files, space, **more):
    return FmriMask(space=space, mask=files["mask"], **more).fit([Source(files["scan"])], [[slice(0, N)]])


def everything(modality, path):
    return Features.concat(modality.extract(Source(path)))


# Units that are sets of voxels


@settings(max_examples=50, deadline=None)
@given(MASKS, st.integers(0, 99))
def test_parcels_to_map_and_back_is_exact(mask, seed):
    rng = np.random.default_rng(seed)
    unit = np.unique(rng.integers(0, 5, int(mask.sum())), return_inverse=True)[1]
    fitted = FmriMask(space="parcels").fitted(mask=mask, affine=np.eye(4), unit=unit)
    values = rng.normal(size=(3, int(unit.max()) + 1)).astype(np.float32)
    volume = fitted.unmask(values)
    np.testing.assert_array_equal(means(volume[:, mask], unit), values)
    assert not volume[:, ~mask].any()


@given(MASKS)
def test_cells_partition_the_mask_into_blocks_of_two(mask):
    unit, at = cells(mask), np.argwhere(mask)
    assert set(unit) == set(range(unit.max() + 1))
    for u in range(unit.max() + 1):
        block = at[unit == u] // 2
        assert (block == block[0]).all()
    corners = {tuple(b) for b in at // 2}
    assert len(corners) == unit.max() + 1, "one cell, one unit"


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, (4, 12), elements=st.floats(-1e4, 1e4, width=32)), st.integers(0, 99))
def test_means_are_those_of_each_unit(values, seed):
    unit = np.unique(np.random.default_rng(seed).integers(0, 5, 12), return_inverse=True)[1]
    expected = np.stack([values[:, unit == u].mean(1, dtype=np.float64) for u in range(unit.max() + 1)], 1)
    np.testing.assert_allclose(means(values, unit), expected, rtol=1e-6, atol=1e-3)


def test_parcels_are_nilearns(files):
    fitted = fit(files, "parcels", atlas=str(files["atlas"]))
    masker = NiftiLabelsMasker(str(files["atlas"]), mask_img=str(files["mask"]), standardize=None)
    expected = masker.fit_transform(str(files["scan"]))
    np.testing.assert_allclose(everything(fitted, files["scan"]).values, expected, rtol=1e-5)
    np.testing.assert_array_equal(fitted.state["unit_label"], [2, 4, 5, 9])


def test_downsampled_is_the_mean_over_the_masks_voxels_of_a_cell(files):
    fitted = fit(files, "downsampled")
    data, mask = nib.load(files["scan"]).get_fdata(), nib.load(files["mask"]).get_fdata() > 0
    found = fitted.unmask(everything(fitted, files["scan"]).values)
    block = np.s_[2:4, 4:6, 0:2]
    inside = mask[block]
    assert inside.sum() == 4, "half of the cell lies outside of the mask"
    expected = data[block][inside].mean(0)
    np.testing.assert_allclose(found[:, 2:4, 4:6, 0:2][:, inside], np.repeat(expected[:, None], 4, 1), rtol=1e-5)


@pytest.mark.parametrize("wanted", [(4, 5), ("A1", 5), ("audio",)])
def test_a_region_is_chosen_by_number_name_or_network(files, wanted):
    fitted = fit(files, "roi", atlas=str(files["atlas"]), label_names=files["names"], labels=wanted)
    mask = nib.load(files["mask"]).get_fdata() > 0
    np.testing.assert_array_equal(fitted.state["mask"], mask & np.isin(labels(), (4, 5)))
    assert "unit" not in fitted.state


def test_a_mask_of_ones_is_a_region(files, tmp_path):
    ones = save(tmp_path / "region.nii.gz", (labels() == 9).astype(np.uint8))
    mask = nib.load(files["mask"]).get_fdata() > 0
    np.testing.assert_array_equal(fit(files, "roi", atlas=str(ones)).state["mask"], mask & (labels() == 9))


def test_what_lies_outside_the_mask_is_no_part_of_the_grid(files, tmp_path):
    """Some software writes NaN there; nothing of it is read, and no score counts it."""
    mask = nib.load(files["mask"]).get_fdata() > 0
    values = nib.load(files["scan"]).get_fdata(dtype=np.float32)
    values[~mask] = np.nan
    fitted = fit(files, "grid")
    np.testing.assert_array_equal(fitted.state["mask"], mask)
    found = everything(fitted, save(tmp_path / "nan.nii", values)).values
    np.testing.assert_array_equal(found, values[mask].T)
    assert not fitted.unmask(found)[:, ~mask].any()


@pytest.mark.parametrize("space", ["voxels", "downsampled", "roi", "parcels", "grid"])
def test_what_is_written_is_read_again_exactly(files, tmp_path, space):
    fitted = fit(files, space, **({"atlas": str(files["atlas"])} if space in ("roi", "parcels") else {}))
    f = everything(fitted, files["scan"])
    again = everything(fitted, fitted.reconstruct(f, tmp_path / space)).values
    np.testing.assert_array_equal(again, f.values)


@modality_checks(FmriMask(space="downsampled"))
def test_conformance_of_cells(check):
    check()


def test_the_study_gives_the_atlas_that_nobody_named(files, tmp_path):
    plain = FmriMask(space="parcels").informed(files["atlas"], files["names"], [])
    assert (plain.atlas, plain.label_names) == (str(files["atlas"]), files["names"])
    own = FmriMask(space="parcels", atlas="mine.nii").informed(files["atlas"], files["names"], [])
    assert (own.atlas, own.label_names) == ("mine.nii", None)
    assert FmriMask().informed(files["atlas"], files["names"], []) == FmriMask()


def test_given_brain_masks_take_the_place_of_the_epi_mask(tmp_path):
    def silent(data):
        data[1, 1, 1] = 0
        return data

    rng, paths, masks = np.random.default_rng(0), [], []
    for k in range(2):
        data = silent(rng.normal(100, 1, (*SHAPE, N)).astype(np.float32))
        paths.append(save(tmp_path / f"scan{k}.nii", data))
        mask = np.zeros(SHAPE, np.uint8)
        mask[k : k + 5] = 1
        masks.append(save(tmp_path / f"mask{k}.nii", mask))
    fitted = FmriMask().informed(None, None, masks).fit([Source(p) for p in paths], [[slice(0, 20)]] * 2)
    expected = np.zeros(SHAPE, bool)
    expected[1:5] = True
    expected[1, 1, 1] = False
    np.testing.assert_array_equal(fitted.state["mask"], expected)
    alone = FmriMask(mask=masks[0])
    assert alone.informed(None, None, masks) == alone, "a mask that was set comes first"


def test_smoothing_is_nilearns(files):
    fitted = fit(files, "voxels", smoothing_mm=6)
    mask = nib.load(files["mask"]).get_fdata() > 0
    expected = smooth_img(str(files["scan"]), 6).get_fdata()[mask].T
    np.testing.assert_allclose(everything(fitted, files["scan"]).values, expected, rtol=1e-5)


# Components


def test_components_are_scikit_learns_though_they_come_in_pieces():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((1300, 12)) @ (np.diag(np.arange(12, 0, -1)) @ rng.standard_normal((12, 40)))
    y -= y.mean(0)
    found = principal_components([y[:700], y[700:]], 12)
    expected = PCA(12, svd_solver="full").fit(y).components_
    np.testing.assert_allclose(np.abs((found * expected).sum(1)), 1, atol=1e-4)
    np.testing.assert_allclose(found @ found.T, np.eye(12), atol=1e-5)


def test_components_of_noise_lose_little_to_the_pieces():
    rng = np.random.default_rng(1)
    y = (rng.standard_normal((3000, 8)) @ rng.standard_normal((8, 60)) + rng.standard_normal((3000, 60))).astype("f4")
    y -= y.mean(0)
    power = {
        k: np.square(y @ b.T).sum()
        for k, b in (("ours", principal_components([y], 8)), ("all", PCA(8).fit(y).components_))
    }
    assert power["ours"] > 0.9999 * power["all"]


def learned(space, scans, **more):
    there = {s: np.ones(len(y), bool) for s, y in scans.items()}
    return FmriMask(space=space, **more).learn(scans, there)


def test_pca_keeps_what_it_spans_and_no_more_units_than_there_are():
    rng = np.random.default_rng(2)
    y = (rng.standard_normal((200, 5)) @ rng.standard_normal((5, 30))).astype(np.float32)
    fitted = learned("pca", {"a": y[:100], "b": y[100:]})
    u = fitted.to_space(y)
    assert u.shape == (200, 5), "5,000 were asked for; the rank is 5"
    assert np.square(u).mean() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(fitted.from_space(u), y, atol=1e-4)


def crosscheck():
    name = "made_scans"
    spec = importlib.util.spec_from_file_location(name, HERE.parent / "crosscheck" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = json.loads((HERE / "srm_reference.json").read_text("utf-8"))


@pytest.mark.parametrize("model", ["srm", "det_srm"])
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_shared_response_predicts_as_brainiaks_does(model, seed):
    made = crosscheck()
    train, test = made.made_scans(int(seed))
    scans = {str(i): x.astype(np.float32) for i, x in enumerate(train)}
    there = {s: np.ones(len(x), bool) for s, x in scans.items()}
    bases = shared_response(scans, there, made.FEATURES, REFERENCE["iterations"])
    held = made.held_out_r([x @ bases[str(i)] for i, x in enumerate(test)])
    known = REFERENCE[model][seed]
    assert held == pytest.approx(known["arrived"]["held_out"], abs=1e-3)
    assert held > np.mean([k["held_out"] for k in known["starts"]]) - 1e-3
    last = scans.pop(str(len(train) - 1))
    bases = shared_response(scans, there, made.FEATURES, REFERENCE["iterations"])
    new = test[-1] @ basis_of(last, mean_response(scans, there, bases))
    others = np.mean([x @ bases[str(i)] for i, x in enumerate(test[:-1])], 0)
    assert made.agreement(new, others) == pytest.approx(known["arrived"]["left_out"], abs=1e-3)


def test_everybody_finds_the_response_that_they_share():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((120, 4))
    truth = {s: np.linalg.qr(rng.standard_normal((25, 4)))[0] for s in "abc"}
    scans = {s: (shared @ w.T).astype(np.float32) for s, w in truth.items()}
    fitted = learned("srm", scans, components=4)
    units = {s: fitted.to_space(y, s) for s, y in scans.items()}
    np.testing.assert_allclose(units["a"], units["b"], atol=1e-4)
    for s, y in scans.items():
        np.testing.assert_allclose(fitted.from_space(units[s], s), y, atol=1e-4)
        np.testing.assert_allclose(fitted._units.basis(s) @ fitted._units.basis(s).T, np.eye(4), atol=1e-5)


def test_a_person_who_missed_a_run_takes_no_part_in_it():
    rng = np.random.default_rng(3)
    scans = {s: rng.standard_normal((80, 20)).astype(np.float32) for s in "abc"}
    there = {s: np.ones(80, bool) for s in scans}
    there["c"][:30] = False
    scans["c"][:30] = 0
    bases = shared_response(scans, there, 3, 5)
    response = mean_response(scans, there, bases)
    np.testing.assert_allclose(response[:30], (scans["a"] @ bases["a"] + scans["b"] @ bases["b"])[:30] / 2, atol=1e-5)
    again = FmriMask(space="srm", components=3, iterations=5).learn(scans, there)
    np.testing.assert_array_equal(again.state["bases"][2], bases["c"])


def test_somebody_unknown_is_read_by_the_mean_of_all_bases():
    rng = np.random.default_rng(0)
    fitted = learned("srm", {s: rng.standard_normal((60, 12)).astype(np.float32) for s in "ab"}, components=3)
    u, _, v = np.linalg.svd(fitted.state["bases"].mean(0), full_matrices=False)
    y = rng.standard_normal((5, 12)).astype(np.float32)
    np.testing.assert_allclose(fitted.to_space(y) * fitted.state["size"], y @ (u @ v), atol=1e-5)
    np.testing.assert_array_equal(fitted.to_space(y, "nobody"), fitted.to_space(y))


def test_components_of_tables_are_written_as_columns(tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.standard_normal((60, 2)) @ rng.standard_normal((2, 6))).astype(np.float32)
    np.savetxt(tmp_path / "a.tsv", y, delimiter="\t")
    fitted = FmriMask(space="pca").fit([Source(tmp_path / "a.tsv")], [[slice(0, 60)]])
    fitted = fitted.learn({"a": y}, {"a": np.ones(60, bool)})
    made = fitted.reconstruct(Features.regular(fitted.to_space(y), 1), tmp_path / "made")
    np.testing.assert_allclose(np.loadtxt(made, skiprows=1), y, atol=1e-4)


def test_the_medial_wall_is_left_out(tmp_path):
    y = np.random.default_rng(0).standard_normal((20, 5))
    for name, column, nothing in (("a", 1, np.nan), ("b", 3, 0.0)):
        table = y.copy()
        table[:, column] = nothing
        np.save(tmp_path / f"{name}.npy", table)
    fitted = FmriMask().fit([Source(tmp_path / "a.npy"), Source(tmp_path / "b.npy")], [[slice(0, len(y))]] * 2)
    assert fitted.state["columns"].tolist() == [3]
    np.testing.assert_allclose(everything(fitted, tmp_path / "a.npy").values, y[:, [0, 2, 4]], rtol=1e-6)


# What cannot be


def test_what_cannot_be_is_one_line(files, tmp_path, monkeypatch):
    atlas = str(files["atlas"])
    np.savetxt(tmp_path / "table.txt", np.ones((9, 4)))
    moved = save(tmp_path / "moved.nii", labels(), np.eye(4))
    small = save(tmp_path / "small.nii", labels()[:5])
    halves = save(tmp_path / "halves.nii", (labels() / 4).astype(np.float32))
    empty = save(tmp_path / "empty.nii", 0 * labels())
    short = save(tmp_path / "short.nii", np.ones((5, 8, 6), np.uint8))
    (tmp_path / "bad.tsv").write_text("number\tname\n1\tx\n")

    def offline(**_):
        raise ConnectionError("no network")

    monkeypatch.setattr("nilearn.datasets.fetch_atlas_schaefer_2018", offline)
    cases = [
        ("space=parcels needs an atlas; set fmri.atlas=FILE", lambda: fit(files, "parcels")),
        ("moved.nii is not on the grid of the scans: its affine differs; resample",
         lambda: fit(files, "parcels", atlas=str(moved))),
        ("small.nii is not on .* it has 5 x 8 x 6 voxels, not 7 x 8 x 6", lambda: fit(files, "roi", atlas=str(small))),
        ("no whole numbers", lambda: fit(files, "parcels", atlas=str(halves))),
        ("no label of .*empty.nii lies inside", lambda: fit(files, "parcels", atlas=str(empty))),
        ("there is no image .*absent.nii", lambda: fit(files, "parcels", atlas=str(tmp_path / "absent.nii"))),
        ("cannot be read", lambda: fit(files, "parcels", atlas=str(files["names"]))),
        ("schaefer400 cannot be fetched .no network.; give a file", lambda: fit(files, "parcels", atlas="schaefer400")),
        (r"labels: 3 is not in the atlas; there are: 2, 4, 5, 9", lambda: fit(files, "roi", atlas=atlas, labels=(3,))),
        ("'V2' is not in the atlas; there are: visual, audio, other, V1",
         lambda: fit(files, "roi", atlas=atlas, labels=("V2",), label_names=files["names"])),
        ("'V1' is not in the atlas; there is no table", lambda: fit(files, "roi", atlas=atlas, labels=("V1",))),
        ("must have the columns index and name",
         lambda: fit(files, "roi", atlas=atlas, labels=("x",), label_names=tmp_path / "bad.tsv")),
        ("space=parcels needs images", lambda: FmriMask(space="parcels").fit([Source(tmp_path / "table.txt")], [[]])),
        ("srm shares a response between people, and there is one",
         lambda: learned("srm", {"a": np.ones((9, 4), np.float32)})),
        ("5 values do not fit a mask of 4 parcels",
         lambda: fit(files, "parcels", atlas=atlas).unmask(np.zeros((1, 5)))),
        ("mask .* is not on the grid of the scans",
         lambda: FmriMask(masks=(short,)).fit([Source(files["scan"])], [[slice(0, N)]])),
    ]  # fmt: skip
    for message, do in cases:
        with pytest.raises((ConfigError, DataError), match=message) as caught:
            do()
        assert "\n" not in str(caught.value)
