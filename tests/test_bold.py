"""What is read off a scan, and what is refused with a word."""

import gzip
import json
import warnings
from fractions import Fraction

import nibabel as nib
import numpy as np
import pytest
from giblet import DataError, seconds
from giblet.data.bold import check_scan, check_subjects, inspect_bold, require_sound, scan_problems, slabs
from giblet.data.study import Scan
from giblet.media import read_on_grid
from giblet.types import ALONE

RNG = np.random.default_rng(0)


def write(path, tr=2.0, units="sec", data=None, sidecar=None):
    data = RNG.normal(100, 5, (3, 4, 2, 12)).astype(np.float32) if data is None else data
    image = nib.Nifti1Image(data, np.eye(4))
    if data.ndim == 4:
        image.header.set_zooms((2, 2, 2, tr))
    image.header.set_xyzt_units("mm", units)
    nib.save(image, path)
    if sidecar is not None:
        path.with_name(path.name.split(".")[0] + ".json").write_text(json.dumps(sidecar))
    return path


@pytest.mark.parametrize(
    ("tr", "units", "said"),
    [(2.0045, "sec", "2.0045"), (0.72, "sec", "0.72"), (1500, "msec", "1.5"), (800_000, "usec", "0.8")],
)
def test_tr_by_its_unit(tmp_path, tr, units, said):
    info = inspect_bold(write(tmp_path / "a.nii", tr, units))
    assert info.tr_s == Fraction(said)
    assert (info.shape, info.n_volumes, info.n_columns, info.notes) == ((3, 4, 2, 12), 12, None, ())


@pytest.mark.parametrize(("tr", "units"), [(2000, "sec"), (2, "msec"), (2000, "unknown"), (0.01, "unknown"), (2, "hz")])
def test_absurd_trs_are_refused_until_decided(tmp_path, tr, units):
    path = write(tmp_path / "a.nii", tr, units)
    with pytest.raises(DataError, match="give --tr SECONDS"):
        inspect_bold(path)
    info = inspect_bold(path, seconds(2))
    assert info.tr_s == 2
    assert any("the TR given" in n for n in info.notes)


def test_no_unit_but_plausible_is_noted(tmp_path):
    info = inspect_bold(write(tmp_path / "a.nii", 1.5, "unknown"))
    assert info.tr_s == Fraction("1.5")
    assert "no unit" in info.notes[0]


def test_zero_tr_is_unknown_and_the_sidecar_knows(tmp_path):
    assert inspect_bold(write(tmp_path / "a.nii.gz", 0)).tr_s is None
    path = write(tmp_path / "b.nii.gz", 0, sidecar={"RepetitionTime": 0.72})
    assert inspect_bold(path).tr_s == Fraction("0.72")


def test_header_and_sidecar_in_conflict(tmp_path):
    path = write(tmp_path / "a.nii", 2.0, sidecar={"RepetitionTime": 2.0045})
    with pytest.raises(DataError, match=r"2 s in its header and of 2\.0045 s in its sidecar; give --tr"):
        inspect_bold(path)
    assert inspect_bold(path, seconds("2.0045")).tr_s == Fraction("2.0045")
    rounded = write(tmp_path / "b.nii", 2.004, sidecar={"RepetitionTime": 2.0045})
    assert inspect_bold(rounded).tr_s == Fraction("2.0045")


@pytest.mark.parametrize("sidecar", [{"RepetitionTime": 2000}, {"RepetitionTime": "2"}, [1]])
def test_a_broken_sidecar_is_refused(tmp_path, sidecar):
    with pytest.raises(DataError, match=r"sidecar|JSON object"):
        inspect_bold(write(tmp_path / "a.nii", sidecar=sidecar))


@pytest.mark.parametrize(
    ("sidecar", "part"),
    [
        ({}, None),
        ({"SliceTiming": [0, 0.5, 1.0, 1.5]}, 0.375),
        ({"StartTime": 1.0, "SliceTiming": [0, 1.9]}, 0.5),
        ({"slice_time_ref": 0.0, "StartTime": 1.0}, 0.0),
    ],
)
def test_slice_time(tmp_path, sidecar, part):
    assert inspect_bold(write(tmp_path / "a.nii", sidecar=sidecar)).slice_time_ref == part


def test_slice_times_in_milliseconds_are_refused(tmp_path):
    with pytest.raises(DataError, match="slice times are seconds"):
        inspect_bold(write(tmp_path / "a.nii", sidecar={"SliceTiming": [0, 500, 1000]}))


def test_what_is_no_scan(tmp_path):
    with pytest.raises(DataError, match="no scan"):
        inspect_bold(tmp_path / "none.nii")
    with pytest.raises(DataError, match="not 4-D but 3-D"):
        inspect_bold(write(tmp_path / "a.nii", data=np.ones((3, 4, 5), np.float32)))
    (tmp_path / "b.nii").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read as a NIfTI"):
        inspect_bold(tmp_path / "b.nii")


def test_tables_know_their_sidecar_only(tmp_path):
    np.save(tmp_path / "t.npy", np.ones((30, 4)))
    info = inspect_bold(tmp_path / "t.npy")
    assert (info.n_volumes, info.n_columns, info.tr_s) == (30, 4, None)
    (tmp_path / "t.json").write_text('{"RepetitionTime": 0.8}')
    assert inspect_bold(tmp_path / "t.npy").tr_s == Fraction("0.8")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slabs_are_the_whole_scan_in_order(tmp_path, name):
    path = write(tmp_path / name)
    pieces = list(slabs(path, max_bytes=24 * 8 * 5))
    assert [len(p) for p in pieces] == [5, 5, 2]
    whole = np.asarray(nib.load(path).dataobj).reshape(24, 12, order="F").T
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def image_with(change):
    data = RNG.normal(100, 5, (3, 4, 2, 12)).astype(np.float32)
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.fill(0), "all 24 voxels are zero throughout"),
        (lambda d: d.fill(7), "all 24 voxels are constant throughout"),
        (lambda d: d.fill(np.nan), r"all 24 voxels are missing \(NaN\)"),
        (lambda d: d.__setitem__((0, 0, 0, 3), np.nan), r"1 of 24 voxels have missing values"),
        (lambda d: d.__setitem__((0, 0, 0, 3), np.inf), "1 values are infinite"),
        (
            lambda d: d.__setitem__((..., slice(8, None)), 0),
            "last 4 volumes are all the same: it breaks off at volume 9",
        ),
    ],
)
def test_bad_images_are_named(tmp_path, change, words):
    path = write(tmp_path / "a.nii.gz", data=image_with(change))
    with pytest.raises(DataError, match=f"subject s7.*{words}.*--exclude s7") as error:
        check_scan(path, "s7")
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_background_may_be_zero_or_missing(tmp_path):
    def change(d):
        d[0] = 0
        d[1] = np.nan

    assert scan_problems(write(tmp_path / "a.nii", data=image_with(change))) == []


def test_slabs_and_one_piece_find_the_same(tmp_path, monkeypatch):
    data = image_with(lambda d: d.__setitem__((..., slice(7, None)), 5))
    path = write(tmp_path / "a.nii", data=data)
    monkeypatch.setattr(slabs, "__defaults__", (24 * 8 * 3, ALONE))
    assert "last 5 volumes are all the same: it breaks off at volume 8" in scan_problems(path)[0]


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_files_are_named(tmp_path, packed):
    whole = write(tmp_path / "a.nii", data=RNG.normal(size=(20, 20, 20, 12)).astype(np.float32)).read_bytes()
    raw = gzip.compress(whole) if packed else whole
    path = tmp_path / ("b.nii.gz" if packed else "b.nii")
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"subject s7: .*breaks off: its header promises 12 volumes"):
        check_scan(path, "s7")


def test_a_truncated_file_says_how_many_volumes_it_holds_where_that_is_known(tmp_path, monkeypatch):
    data = RNG.normal(size=(20, 20, 20, 12)).astype(np.float32)
    for name, said in (("a.nii", "promises 12 volumes, but holds 7 ("), ("b.nii.gz", "promises 12 volumes (")):
        path = write(tmp_path / name, data=data)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
        assert said in scan_problems(path)[0]
    monkeypatch.setattr(slabs, "__defaults__", (20**3 * 8 * 3, ALONE))
    assert "promises 12 volumes, of which the first 6 can be read (" in scan_problems(tmp_path / "b.nii.gz")[0]
    assert "promises 12 volumes, but holds 7 (" in scan_problems(tmp_path / "a.nii")[0]


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_mask_is_named(tmp_path, packed):
    path = tmp_path / ("m.nii.gz" if packed else "m.nii")
    nib.save(nib.Nifti1Image(RNG.normal(size=(20, 20, 20)).astype(np.float32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"breaks off: its header promises 20 x 20 x 20 voxels .*copy it"):
        read_on_grid(path, (20, 20, 20), np.eye(4), "the mask")


def table(tmp_path, name, values):
    np.save(tmp_path / f"{name}.npy", values)
    return Scan(name, "run-1", "film", tmp_path / f"{name}.npy", Fraction(2), len(values))


def test_a_study_with_several_bad_people_is_one_line(tmp_path):
    good = [table(tmp_path, f"s{i}", RNG.normal(size=(50, 6))) for i in range(4)]
    part = RNG.normal(size=(50, 6))
    part[:, 2] = 1.0
    hole = RNG.normal(size=(50, 6))
    hole[7, 1] = np.nan
    bad = {
        "dead": (np.zeros((50, 6)), "all 6 columns are zero throughout"),
        "part": (part, "1 of 6 columns are constant (the first: 2)"),
        "hole": (hole, "1 of 6 columns have missing values (NaN)"),
        "flip": (RNG.normal(size=(6, 50)), "it looks flipped: 6 rows x 50 columns, the others 50 x 6"),
        "brief": (RNG.normal(size=(30, 6)), "it is short: 30 volumes where the others have 50"),
        "narrow": (RNG.normal(size=(50, 5)), "it has 5 columns where the others have 6"),
    }
    scans = good + [table(tmp_path, name, values) for name, (values, _) in bad.items()]
    lines = check_subjects(scans)
    assert len(lines) == len(bad)
    for line, (name, (_, words)) in zip(lines, bad.items(), strict=True):
        assert line.startswith(f"subject {name} (run-1): ")
        assert words in line
    with pytest.raises(DataError) as error:
        require_sound(scans)
    assert str(error.value).endswith(
        "--exclude dead --exclude part --exclude hole --exclude flip --exclude brief --exclude narrow"
    )
    assert "\n" not in str(error.value)
    require_sound(good)


def test_of_two_tables_the_wider_than_long_is_the_flipped_one(tmp_path):
    scans = [table(tmp_path, "a", RNG.normal(size=(6, 50))), table(tmp_path, "b", RNG.normal(size=(50, 6)))]
    assert [line.split()[1] for line in check_subjects(scans)] == ["a"]


def test_no_file_stays_open(tmp_path):
    path = write(tmp_path / "a.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        inspect_bold(path)
        assert scan_problems(path) == []


@pytest.mark.real_data
def test_real_headers(test_data):
    info = inspect_bold(test_data / "nifti" / "functional.nii")
    assert (info.shape, info.tr_s) == ((17, 21, 3, 20), 2)
    with pytest.raises(DataError, match="2000 sec, which no scanner has; are they milliseconds"):
        inspect_bold(test_data / "nifti" / "example4d.nii.gz")
    assert inspect_bold(test_data / "nifti" / "example4d.nii.gz", seconds(2)).tr_s == 2
    with pytest.raises(DataError, match="not 4-D but 3-D"):
        inspect_bold(test_data / "nifti" / "someones_epi.nii.gz")
    assert scan_problems(test_data / "nifti" / "functional.nii") == []
