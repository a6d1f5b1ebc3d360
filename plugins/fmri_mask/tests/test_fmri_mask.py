from __future__ import annotations

import atexit
import shutil
import tempfile
import tracemalloc
from fractions import Fraction
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from giblet import ConfigError, DataError, Features, FeatureSpec, Source, TRGrid, seconds
from giblet.alignment import clean, scale_train
from giblet.media import volume_slabs
from giblet.testing import modality_checks
from giblet_fmri_mask import FmriMask
from giblet_fmri_mask.features import tr_s
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nilearn.masking import apply_mask, compute_multi_epi_mask

AFFINE = np.array([[3.0, 0, 0, -20], [0, 3, 0, -30], [0, 0, 3.5, 10], [0, 0, 0, 1]])
SHAPE = (12, 14, 11)


def brain():
    x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    return (x**2).sum(0) < 0.7


def write_scan(path, seed=0, n=20, affine=AFFINE, dtype=np.float32, tr=1.5, change=None):
    rng = np.random.default_rng(seed)
    data = rng.gamma(2, 10, (*SHAPE, n))
    data[brain()] += 900 + 100 * rng.random((int(brain().sum()), 1))
    if change is not None:
        change(data)
    image = nib.Nifti1Image(data.astype(dtype), affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def write_mask(path, mask=None, affine=AFFINE):
    nib.save(nib.Nifti1Image((brain() if mask is None else mask).astype(np.uint8), affine), path)
    return path


def everything(modality, path):
    return Features.concat(modality.extract(Source(path)))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    return [write_scan(folder / f"sub-{i}.nii{'.gz' if i else ''}", i) for i in range(3)]


FOLDER = Path(tempfile.mkdtemp())  # the conformance kit takes its modality before fixtures exist
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def lent(name, write):
    path = FOLDER / name
    return path if path.exists() else write(path)


@modality_checks(FmriMask(mask=lent("mask.nii.gz", write_mask)), lambda: Source(lent("scan.nii.gz", write_scan)))
def test_conformance_of_images(check):
    check()


def write_parcels(path):
    np.savetxt(path, np.random.default_rng(0).normal(size=(20, 6)), delimiter="\t")
    return path


@modality_checks(FmriMask(), lambda: Source(lent("parcels.tsv", write_parcels)))
def test_conformance_of_tables(check):
    check()


@pytest.mark.parametrize(("opening", "rounds"), [(None, 0), (0, 0), (1, 1), (2, 2)])
def test_mask_equals_nilearns_on_the_training_volumes(scans, opening, rounds):
    train = [[slice(0, 6), slice(10, 15)], [slice(2, 9)], []]
    fitted = FmriMask(opening=opening).fit([Source(p) for p in scans], train)
    means = []
    for path, part in zip(scans, train, strict=True):
        image = nib.load(path)
        if part:
            rows = np.concatenate([np.arange(20)[s] for s in part])
            means.append(nib.Nifti1Image(image.get_fdata()[..., rows].mean(-1), image.affine))
    expected = compute_multi_epi_mask(means, threshold=0.5, opening=rounds)
    np.testing.assert_array_equal(fitted.state["mask"], expected.get_fdata() > 0)
    np.testing.assert_array_equal(fitted.state["affine"], AFFINE)
    assert (fitted.state["mask"] & brain()).sum() > 0.75 * brain().sum()


def test_large_images_are_opened_twice_as_nilearn_does(tmp_path):
    rng, near = np.random.default_rng(0), np.linspace(-1, 1, 24)
    ball = (np.stack(np.meshgrid(near, near, near)) ** 2).sum(0) < 0.5
    ball[12, 12] = True  # a thin bridge out of the head
    data = np.where(ball[..., None], 900, 0) + rng.gamma(2, 10, (24, 24, 24, 4))
    image = nib.Nifti1Image(data.astype(np.float32), AFFINE)
    nib.save(image, tmp_path / "a.nii")
    masks = [FmriMask(opening=n).fit([Source(tmp_path / "a.nii")], [[slice(None)]]).state["mask"] for n in (None, 2, 0)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert masks[2][12, 12].all()
    assert not masks[0][12, 12].all()


def test_volumes_that_are_not_for_training_change_nothing(tmp_path):
    def spoil(data):
        data[..., 10:] = np.random.default_rng(9).normal(size=data[..., 10:].shape) * 1e4

    whole, spoilt = write_scan(tmp_path / "a.nii"), write_scan(tmp_path / "b.nii", change=spoil)
    masks = [FmriMask().fit([Source(p)], [[slice(0, 10)]]).state["mask"] for p in (whole, spoilt)]
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize(("silent", "kept"), [(0, True), (1, False), (20, False)])
def test_a_voxel_needs_signal_in_more_than_95_percent_of_every_scan(tmp_path, scans, silent, kept):
    def hush(data):
        data[6, 7, 5, :silent] = 0

    path = write_scan(tmp_path / "a.nii", change=hush)
    fitted = FmriMask().fit([Source(scans[1]), Source(path)], [[slice(None)]] * 2)
    assert fitted.state["mask"][6, 7, 5] == kept
    assert FmriMask(active_fraction=0.9).fit([Source(path)], [[slice(None)]]).state["mask"][6, 7, 5] == (silent < 2)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_masked_values_equal_nilearns(tmp_path, dtype, suffix, monkeypatch):
    path, mask = write_scan(tmp_path / f"a{suffix}", dtype=dtype), write_mask(tmp_path / "m.nii")
    monkeypatch.setattr("giblet.media.images.volume_slabs.__defaults__", (slice(None), 3 * 8 * int(np.prod(SHAPE))))
    chunks = list(FmriMask(mask=mask).extract(Source(path)))
    assert [len(c.values) for c in chunks] == [3] * 6 + [2]
    f = Features.concat(chunks)
    assert f.values.dtype == np.float32
    np.testing.assert_array_equal(f.values, apply_mask(str(path), str(mask)))
    np.testing.assert_array_equal(f.ticks, np.arange(20))
    assert f.timebase == Fraction(3, 2)


def test_scaled_images_read_as_nilearn_reads_them(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).normal(500, 50, (*SHAPE, 5)).astype(np.float64), AFFINE)
    image.set_data_dtype(np.int16)  # nibabel chooses slope and intercept
    nib.save(image, tmp_path / "a.nii.gz")
    mask = write_mask(tmp_path / "m.nii")
    ours = everything(FmriMask(mask=mask), tmp_path / "a.nii.gz").values
    np.testing.assert_array_equal(ours, apply_mask(str(tmp_path / "a.nii.gz"), str(mask)).astype(np.float32))


def test_memory_does_not_grow_with_the_scan(tmp_path):
    big = nib.Nifti1Image(np.zeros((40, 40, 40, 200), np.float32) + 1, AFFINE)
    nib.save(big, tmp_path / "a.nii")
    del big
    image, peak = nib.load(tmp_path / "a.nii", mmap=False), 4 << 20
    tracemalloc.start()
    assert sum(data.shape[3] for _, data in volume_slabs(tmp_path / "a.nii", image, limit=peak)) == 200
    assert tracemalloc.get_traced_memory()[1] < 3 * peak
    tracemalloc.stop()


@settings(max_examples=50)
@given(hnp.arrays(bool, (3, 4, 2)).filter(np.any), st.integers(0, 4), st.integers(0, 2**31))
def test_unmask_then_mask_is_exact(mask, n, seed):
    modality = FmriMask().fitted(mask=mask, affine=np.eye(4))
    values = np.random.default_rng(seed).normal(size=(n, int(mask.sum()))).astype(np.float32)
    whole = modality.unmask(values)
    assert whole.shape == (n, 3, 4, 2)
    np.testing.assert_array_equal(whole[:, mask], values)
    assert not whole[:, ~mask].any()


def test_reconstruct_writes_the_scan_back_exactly(scans, tmp_path):
    fitted = FmriMask().fit([Source(scans[0])], [[slice(None)]])
    f = everything(fitted, scans[0])
    path = fitted.reconstruct(f, tmp_path / "made")
    assert path.name == "made.nii.gz"
    image = nib.load(path)
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert tr_s(image) == Fraction(3, 2)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(everything(fitted, path).values, f.values)
    original, inside = nib.load(scans[0]).get_fdata(), fitted.state["mask"]
    np.testing.assert_array_equal(image.get_fdata()[inside], original[inside])


@pytest.mark.parametrize("tr", [0.72, 1.0, 1.5, 2.0045, 2.2])
def test_the_clock_is_the_headers_tr_exactly(tmp_path, tr):
    assert tr_s(nib.load(write_scan(tmp_path / "a.nii", n=2, tr=tr))) == Fraction(str(tr))


@pytest.mark.parametrize(("unit", "zoom", "expected"), [("msec", 2000, "2"), ("unknown", 2, "2"), ("sec", 0, "1")])
def test_the_clock_heeds_the_unit(unit, zoom, expected):
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.float32), AFFINE)
    image.header.set_zooms((3, 3, 3, zoom))
    image.header.set_xyzt_units("mm", unit)
    assert tr_s(image) == Fraction(expected)


def test_volume_k_is_tr_k_whatever_the_clock(scans):
    fitted = FmriMask().fit([Source(scans[0])], [[slice(None)]])
    f = everything(fitted, scans[0])
    aligned = fitted.align(f, TRGrid(seconds("1.4993"), 23, seconds("12")))
    assert aligned.valid.tolist() == [True] * 20 + [False] * 3
    np.testing.assert_array_equal(aligned.rows(slice(0, 20))[0][:, 0], f.values)
    assert (fitted.spec(aligned).shape, fitted.spec(aligned).frames) == (f.values.shape[1:], 1)


def test_heads_are_linear_maps_that_all_parameters_of_which_learn(scans):
    fitted = FmriMask(head_dropout=0.5).fit([Source(scans[0])], [[slice(None)]])
    aligned = fitted.align(everything(fitted, scans[0]), TRGrid(seconds("1.5"), 22))
    spec, V = fitted.spec(aligned), int(fitted.state["mask"].sum())
    inverse, forward = fitted.encode(spec, 8), fitted.decode(spec, 8)
    y, mask = map(torch.from_numpy, aligned.rows(slice(None)))
    assert mask.sum() == 20
    z = inverse(y, mask)
    assert (z.shape, forward(z).shape) == ((22, 8), (22, 1, V))
    (fitted.loss(forward(z), y).mean()).backward()
    assert all(p.grad is not None for net in (inverse, forward) for p in net.parameters())
    assert not torch.equal(inverse(y, mask), z), "head_dropout has no effect"
    inverse.eval()
    torch.testing.assert_close(inverse(y, mask), inverse(torch.where(mask[..., None], y, 5.0), mask))
    a, b = inverse(y, mask), inverse(2 * y, mask)
    torch.testing.assert_close(b - inverse.out.bias, 2 * (a - inverse.out.bias), rtol=1e-4, atol=1e-3)


def test_heads_learn_a_known_linear_code():
    torch.manual_seed(0)
    spec = FeatureSpec((50,), 1)
    forward, inverse = FmriMask().decode(spec, 5), FmriMask().encode(spec, 5)
    z, w = torch.randn(400, 5), torch.randn(5, 50)
    y, mask = (z @ w)[:, None], torch.ones(400, 1, dtype=torch.bool)
    adam = torch.optim.Adam([*forward.parameters(), *inverse.parameters()], 0.01)
    for _ in range(400):
        adam.zero_grad()
        loss = (forward(z) - y).square().mean() / y.var() + (inverse(y, mask) - z).square().mean()
        loss.backward()
        adam.step()
    assert loss < 0.01


@pytest.mark.parametrize("rank", [1, 3])
def test_heads_of_a_low_rank_are_small_and_learn(rank):
    """A map of rank r needs r numbers a voxel; what is of no higher rank loses nothing by it."""
    torch.manual_seed(0)
    spec, brain = FeatureSpec((400,), 1), FmriMask(head_rank=rank)
    forward, inverse = brain.decode(spec, 6), brain.encode(spec, 6)
    assert sum(p.numel() for p in forward.parameters()) == 6 * rank + 400 * rank + 400
    assert sum(p.numel() for p in inverse.parameters()) == 400 * rank + rank + rank * 6
    z = torch.randn(200, 6)
    y = (z @ torch.randn(6, rank) @ torch.randn(rank, 400))[:, None]
    adam = torch.optim.Adam(forward.parameters(), 0.02)
    for _ in range(300):
        adam.zero_grad()
        loss = (forward(z) - y).square().mean() / y.var()
        loss.backward()
        adam.step()
    assert loss < 0.01
    assert torch.linalg.matrix_rank(forward(z)[:, 0] - forward.out.bias, rtol=1e-4) == rank
    assert inverse(y, torch.ones(200, 1, dtype=torch.bool)).shape == (200, 6)


def test_clean_uses_the_settings():
    y = np.random.default_rng(0).normal(size=(100, 3)).cumsum(0)
    own = FmriMask(high_pass_s=None, detrend=False).clean(y, [slice(None)], 2.0)
    np.testing.assert_allclose(own, y - y.mean(0), atol=1e-12)
    np.testing.assert_array_equal(FmriMask().clean(y, [slice(None)], 2.0), clean(y, [slice(None)], 2.0))


def test_tables_go_through_and_back(tmp_path):
    values = np.random.default_rng(0).normal(size=(15, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    np.savetxt(tmp_path / "b.txt", values[:10])
    fitted = FmriMask().fit([Source(tmp_path / "a.npy"), Source(tmp_path / "b.txt")], [[], []])
    assert fitted.state["columns"].tolist() == [4]
    f = everything(fitted, tmp_path / "a.npy")
    np.testing.assert_array_equal(f.values, values)
    made = pd.read_csv(fitted.reconstruct(f, tmp_path / "made"), sep="\t")
    np.testing.assert_allclose(made, values, rtol=1e-6)
    with pytest.raises(ConfigError, match="has no mask yet"):
        fitted.unmask(values)


def test_only_training_rows_of_tables_say_which_columns_hold_something(tmp_path):
    rng = np.random.default_rng(0)
    quiet, loud = np.zeros((2, 12, 4), np.float32)
    quiet[:8, :3] = loud[:8, :3] = rng.normal(size=(8, 3))
    loud[8:] = rng.normal(size=(4, 4))
    np.save(tmp_path / "quiet.npy", quiet)
    np.save(tmp_path / "loud.npy", loud)
    sources = [Source(tmp_path / f"{name}.npy") for name in ("quiet", "loud")]
    for source in sources:
        state = FmriMask().fit([source], [[slice(0, 4), slice(4, 8)]]).state
        assert state["kept"].tolist() == [True, True, True, False]
    assert "kept" not in FmriMask().fit(sources[1:], [[slice(0, 12)]]).state
    # Somebody without training volumes has no say, not even of columns that hold nothing.
    assert FmriMask().fit(sources, [[], [slice(0, 12)]]).state["columns"].tolist() == [4]
    with pytest.raises(DataError, match="no column with a number other than 0 in training"):
        FmriMask().fit(sources[:1], [[slice(8, 12)]])


def test_what_is_wrong_is_named(tmp_path, scans):
    one, train = Source(scans[0]), [[slice(None)]] * 2

    def nans(data):
        data[6, 7, 5, 3:5] = np.nan

    def fit(*paths, **settings):
        return FmriMask(**settings).fit([Source(p) for p in paths], train[: len(paths)])

    moved = write_scan(tmp_path / "moved.nii", affine=AFFINE + np.eye(4)[:, [3, 0, 1, 2]] * 0.1)
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5, 20), np.float32), AFFINE), tmp_path / "small.nii")
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), tmp_path / "flat.nii")
    broken = tmp_path / "broken.nii"
    broken.write_bytes(scans[0].read_bytes()[:20000])
    (tmp_path / "text.nii").write_text("not an image")
    np.savetxt(tmp_path / "four.txt", np.ones((9, 4)))
    np.savetxt(tmp_path / "five.txt", np.ones((9, 5)))
    nan = write_scan(tmp_path / "nan.nii", change=nans)
    full = np.ones(SHAPE, bool)
    cases = [
        (r"moved\.nii is not on the grid of .*sub-0.*: its affine differs", lambda: fit(scans[0], moved)),
        (r"small\.nii is not .*sub-0.*: it has 5 x 5 x 5 voxels, not 12 x 14 x 11",
         lambda: fit(scans[0], tmp_path / "small.nii")),
        (r"flat\.nii is not 4-D but 3-D", lambda: fit(tmp_path / "flat.nii")),
        (r"broken\.nii breaks off: its header promises 20 volumes", lambda: fit(broken)),
        (r"text\.nii cannot be read as a NIfTI image", lambda: fit(tmp_path / "text.nii")),
        (r"there is no image .*absent\.nii", lambda: fit(tmp_path / "absent.nii")),
        (r"neither an image nor a table; legal", lambda: fit(tmp_path / "scan.dcm")),
        (r"is a table among images", lambda: fit(scans[0], tmp_path / "four.txt")),
        (r"five\.txt has 5 columns, .*four\.txt has 4", lambda: fit(tmp_path / "four.txt", tmp_path / "five.txt")),
        (r"has no meaning for tables", lambda: fit(tmp_path / "four.txt", mask=tmp_path / "m.nii")),
        (r"no training volume in any scan", lambda: FmriMask().fit([one], [[]])),
        (r"mask .* holds other values", lambda: fit(scans[0], mask=write_mask(tmp_path / "m2.nii", 2 * full))),
        (r"mask .* is empty", lambda: fit(scans[0], mask=write_mask(tmp_path / "m0.nii", 0 * full))),
        (r"not on the grid of the mask: its affine differs", lambda: fit(moved, mask=write_mask(tmp_path / "m.nii"))),
        (r"learned mask is empty|no mask can be learned", lambda: fit(write_scan(tmp_path / "z.nii", change=zero))),
        (r"holds 2 values that are not finite, from volume 3 to 4",
         lambda: everything(FmriMask(mask=write_mask(tmp_path / "m.nii")), nan)),
        (r"is cut by volumes", lambda: list(FmriMask().extract(Source(scans[0], start_s=Fraction(3))))),
        (r"has no mask yet", lambda: everything(FmriMask(), scans[0])),
        (r"3 values do not fit a mask of", lambda: fit(scans[0]).unmask(np.zeros((2, 3)))),
        (r"has 5 columns, the others have 4",
         lambda: everything(fit(tmp_path / "four.txt"), tmp_path / "five.txt")),
    ]  # fmt: skip
    for message, do in cases:
        with pytest.raises((DataError, ConfigError), match=message) as caught:
            do()
        assert "\n" not in str(caught.value)


def zero(data):
    data[...] = 0


@pytest.mark.real_data
def test_a_real_scan(test_data, tmp_path):
    path = test_data / "nifti/functional.nii"
    fitted = FmriMask().fit([Source(path)], [[slice(0, 14)]])
    mask = nib.Nifti1Image(fitted.state["mask"].astype(np.uint8), fitted.state["affine"])
    f = everything(fitted, path)
    assert f.values.shape == (20, int(fitted.state["mask"].sum()))
    assert f.values.shape[1] > 700
    assert f.timebase == 2
    np.testing.assert_array_equal(f.values, apply_mask(str(path), mask).astype(np.float32))
    back = everything(fitted, fitted.reconstruct(f, tmp_path / "back"))
    np.testing.assert_array_equal(back.values, f.values)


@pytest.mark.real_data
def test_real_images_that_are_no_series(test_data):
    with pytest.raises(DataError, match="not 4-D but 3-D"):
        FmriMask().fit([Source(test_data / "nifti/someones_epi.nii.gz")], [[slice(None)]])


@pytest.mark.real_data
def test_real_tables_of_regions(test_data):
    paths = [p for p in sorted(test_data.glob("fmri_alice/s*-timecourses.txt")) if "s33" not in p.name]
    fitted = FmriMask().fit([Source(p) for p in paths], [[slice(0, 200)]] * len(paths))
    assert fitted.state["columns"].tolist() == [6]
    values = [everything(fitted, p).values for p in paths]
    assert {v.shape for v in values} == {(362, 6)}
    lptl = np.array([scale_train(fitted.clean(v, [slice(None)], 2.0), [slice(0, 200)])[:, 2] for v in values])
    rest = lptl.sum(0) - lptl
    isc = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(lptl, rest, strict=True)])
    assert isc > 0.3, "people who hear the same story share a time course in LPTL; 0.38 without cleaning"
