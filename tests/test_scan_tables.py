"""Scans that are tables: MATLAB files, surfaces, grayordinates, and tables that lie on their side."""

import json
import sys
from dataclasses import replace
from fractions import Fraction

import h5py
import nibabel as nib
import numpy as np
import pytest
from giblet import ConfigError, DataError, ScanFiles, Source, load_study, study_from_files
from giblet.data.bold import require_sound, scan_problems
from giblet.data.scan_header import inspect_bold, is_table
from giblet.data.store import Store
from giblet.media import is_scan_table, read_scan_table, read_series
from giblet.media.scan_tables import scan_table_shape
from giblet.pipeline.flipped import require_upright
from giblet_fmri_mask import FmriMask
from nibabel.cifti2 import BrainModelAxis, ParcelsAxis, ScalarAxis, SeriesAxis
from scipy.io import savemat

T, V = 40, 9
RNG = np.random.default_rng(0)


def series(columns=V):
    return RNG.standard_normal((T, columns)).astype(np.float32)


def gifti(path, table, step=None, together=False):
    rows = [table.T] if together else list(table)
    arrays = [nib.gifti.GiftiDataArray(r, intent="NIFTI_INTENT_TIME_SERIES") for r in rows]
    for array in arrays if step is not None else ():
        array.meta["TimeStep"] = step
    nib.save(nib.GiftiImage(darrays=arrays), path)
    return path


def cifti(path, table, axis=None):
    axis = axis or SeriesAxis(0, 0.8, len(table))
    brain = BrainModelAxis.from_mask(np.ones(table.shape[1], bool), name="CORTEX_LEFT")
    if path.name.endswith("ptseries.nii"):
        brain = ParcelsAxis.from_brain_models([(f"p{k}", brain[k : k + 1]) for k in range(table.shape[1])])
    nib.save(nib.Cifti2Image(table, header=(axis, brain)), path)
    return path


@pytest.mark.parametrize("together", [False, True])
def test_gifti_is_volumes_by_vertices(tmp_path, together):
    table = series()
    path = gifti(tmp_path / "s_bold.func.gii", table, together=together)
    np.testing.assert_array_equal(read_scan_table(Source(path)), table)
    assert scan_table_shape(Source(path)) == (T, V)
    assert is_scan_table(path)
    assert inspect_bold(path, Fraction(2)).n_columns == V


@pytest.mark.parametrize(("step", "tr_s"), [("2000.000000", 2), ("0.8", Fraction("0.8")), ("720", Fraction("0.72"))])
def test_the_tr_of_gifti_is_in_seconds_or_in_milliseconds(tmp_path, step, tr_s):
    assert inspect_bold(gifti(tmp_path / "s.func.gii", series(), step)).tr_s == tr_s


def test_two_hemispheres_are_left_then_right(tmp_path):
    left, right = series(), series(5)
    paths = [gifti(tmp_path / f"sub-1_hemi-{h}_bold.func.gii", x, "2000") for h, x in (("L", left), ("R", right))]
    both = ScanFiles(right=paths[1])
    np.testing.assert_array_equal(read_scan_table(Source(paths[0], scan=both)), np.hstack([left, right]))
    gifti(paths[1], right[:-1])
    with pytest.raises(DataError, match="has 39 volumes, the left hemisphere 40"):
        read_scan_table(Source(paths[0], scan=both))


def test_hemispheres_that_a_glob_finds_are_one_scan(tmp_path):
    for person in ("1", "2"):
        for h in "LR":
            gifti(tmp_path / f"sub-{person}_hemi-{h}_bold.func.gii", series(), "2000")
    np.save(tmp_path / "m.npy", np.zeros((T, 1)))
    study = study_from_files(features={"m": tmp_path / "m.npy"}, bold=tmp_path / "*.func.gii")
    assert [s.bold.name for s in study.scans] == [f"sub-{k}_hemi-L_bold.func.gii" for k in (1, 2)]
    assert [s.files.right.name for s in study.scans] == [f"sub-{k}_hemi-R_bold.func.gii" for k in (1, 2)]
    alone = study_from_files(features={"m": tmp_path / "m.npy"}, bold=tmp_path / "*hemi-R*.func.gii")
    assert [s.files.right for s in alone.scans] == [None, None]


def test_vertices_outside_of_the_brain_are_no_fault(tmp_path):
    table = series()
    table[:, 2], table[:, 3] = np.nan, 0
    path = gifti(tmp_path / "s.func.gii", table)
    assert not read_scan_table(Source(path))[:, 2].any()
    assert scan_problems(path) == []
    table[4, 5] = np.nan
    assert "1 of 9 vertices have missing values" in scan_problems(gifti(path, table))[0]


@pytest.mark.parametrize("name", ["s.dtseries.nii", "s.ptseries.nii"])
def test_cifti_has_its_own_tr(tmp_path, name):
    table = series()
    path = cifti(tmp_path / name, table)
    np.testing.assert_allclose(read_scan_table(Source(path)), table, rtol=1e-6)
    info = inspect_bold(path)
    assert (info.shape, info.tr_s, info.n_volumes) == ((T, V), Fraction("0.8"), T)
    (tmp_path / "s.json").write_text(json.dumps({"RepetitionTime": 1.0}))
    with pytest.raises(DataError, match=r"0\.8 s in its header and of 1 s in its sidecar"):
        inspect_bold(path)
    assert inspect_bold(path, Fraction(1)).notes == ("the TR given, 1 s, was used; the header says 0.8 sec",)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda p: cifti(p / "s.dtseries.nii", series(), ScalarAxis([str(k) for k in range(T)])),
            "its rows are ScalarAxis",
        ),
        (
            lambda p: cifti(p / "s.dtseries.nii", series(), SeriesAxis(0, 1, T, "HERTZ")),
            "steps in hertz, not in seconds",
        ),
        (lambda p: gifti(p / "s.func.gii", series()[:1]), "is no time series: it holds 1 arrays"),
        (lambda p: gifti(p / "s.func.gii", series(), "soon"), "states a TimeStep of 'soon'"),
        (lambda p: put(p / "s.func.gii", b"<xml"), "cannot be read"),
        (lambda p: put(p / "s.dtseries.nii", b"nothing"), "cannot be read"),
        (lambda p: plain(p / "s.dtseries.nii"), "is no CIFTI-2 file, whatever its name says"),
    ],
)
def test_what_is_no_time_series(tmp_path, make, words):
    path = make(tmp_path)
    with pytest.raises(DataError, match=words) as error:
        inspect_bold(path)
    assert "\n" not in str(error.value)


def put(path, content):
    path.write_bytes(content)
    return path


def plain(path):
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), path)
    return path


def mat73(path, **tables):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, table in tables.items():
            file[name] = table.T  # MATLAB's columns are HDF5's rows
    content = path.read_bytes()
    return put(path, b"MATLAB 7.3 MAT-file" + content[19:])


def mat5(path, **tables):
    savemat(path, tables)
    return path


@pytest.mark.parametrize("save", [mat5, mat73])
def test_matlab_files(tmp_path, save):
    table = series()
    path = save(tmp_path / "s.mat", ts=table, tr=np.array([[2.0]]))
    assert is_table(path)
    np.testing.assert_array_equal(read_series(path), table)
    two = save(tmp_path / "two.mat", ts=table, other=table + 1)
    with pytest.raises(DataError, match=r"holds the tables .*ts.*; name one by variable"):
        read_series(two)
    np.testing.assert_array_equal(read_scan_table(Source(two, scan=ScanFiles(variable="other"))), table + 1)
    with pytest.raises(DataError, match="has no table 'othr'; legal: "):
        read_series(two, variable="othr")
    np.testing.assert_array_equal(read_series(path, transpose=True), table.T)


def test_matlab_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is no MATLAB file that can be read"):
        read_series(put(tmp_path / "a.mat", b"nothing of the kind" * 20))
    with pytest.raises(DataError, match="is no MATLAB file that can be read"):
        read_series(put(tmp_path / "b.mat", b"MATLAB 7.3 MAT-file" + b"x" * 600))
    with pytest.raises(DataError, match="has no table of numbers"):
        read_series(mat5(tmp_path / "c.mat", name="word"))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"of version 7.3, which h5py reads; pip install 'giblet\[mat\]'"):
        read_series(put(tmp_path / "d.mat", b"MATLAB 7.3 MAT-file"))
    np.save(tmp_path / "e.npy", series())
    with pytest.raises(DataError, match="holds one table, so 'ts' names nothing"):
        read_series(tmp_path / "e.npy", variable="ts")


def study(folder, keys, **tables):
    """A study.toml with one scan a table."""
    np.save(folder / "m.npy", np.zeros((T, 1)))
    text = '[study]\nname = "s"\ntr_s = 2.0\n[[stimulus]]\nname = "f"\nfeatures = { m = "m.npy" }\n'
    for name, table in tables.items():
        np.save(folder / f"{name}.npy", table)
        text += f'[[scan]]\nsubject = "{name}"\nrun = "1"\nstimulus = "f"\nbold = "{name}.npy"\n{keys}\n'
    (folder / "study.toml").write_text(text)
    return folder


def test_declared_transposed(tmp_path):
    table = series()
    scans = load_study(study(tmp_path, "transposed = true", a=table.T, b=table.T)).scans
    assert [s.n_volumes for s in scans] == [T, T]
    np.testing.assert_array_equal(read_scan_table(scans[0].source()), table)
    require_sound(scans)
    require_upright(scans, Fraction(2 * T))
    flags = {"features": {"m": tmp_path / "m.npy"}, "bold": [tmp_path / "a.npy", tmp_path / "b.npy"], "tr_s": 2}
    assert study_from_files(**flags, transposed=True).scans[0].n_volumes == T


def test_flipped_tables_are_named_not_turned(tmp_path):
    scans = load_study(study(tmp_path, "", a=series().T, b=series())).scans
    with pytest.raises(DataError, match=r"subject a .*it looks flipped: 9 rows x 40 columns.*say transposed = true"):
        require_sound(scans)
    with pytest.raises(DataError, match="subject a: the table looks flipped: its columns, not its rows"):
        require_upright(scans, Fraction(2 * T))
    with pytest.raises(DataError, match=r"row is a parcel say transposed = true.*row is a TR after all, .* = false$"):
        require_upright(scans, Fraction(2 * T))
    require_upright(scans, Fraction(2 * 25))  # a stimulus of which neither is the length
    with pytest.raises(DataError, match=r"row is a parcel say transposed = true.*row is a TR after all, .* = false\."):
        require_sound(scans)
    declared = [replace(s, files=ScanFiles(transposed=True)) for s in load_study(study(tmp_path, "", a=series())).scans]
    with pytest.raises(DataError, match=r"looks flipped.*it is declared transposed: leave that out"):
        require_upright(declared, Fraction(2 * T))


def test_who_says_that_a_table_is_upright_is_believed(tmp_path):
    scans = load_study(study(tmp_path, "transposed = false", a=series().T, b=series(41).T[:, :V])).scans
    assert [s.n_volumes for s in scans] == [V, 41]
    require_upright(scans, Fraction(2 * T))
    with pytest.raises(DataError, match=r"subject a \(1\): it has 40 columns where the others have 9"):
        require_sound(scans)
    silent = replace(scans[0], files=ScanFiles())
    store, brain = Store(tmp_path, lambda _: "1"), FmriMask()
    assert store.key(brain, silent.source()) == store.key(brain, scans[0].source())
    with pytest.raises(DataError, match="subject a: the table looks flipped"):
        require_upright([silent], Fraction(2 * T))


def test_confounds_masks_and_columns_in_a_study_file(tmp_path):
    (tmp_path / "c.tsv").write_text("pulse\tbreath\n" + "1\t2\n" * T)
    keys = 'confounds = "c.tsv"\nconfound_columns = ["breath"]'
    scan = load_study(study(tmp_path, keys, a=series())).scans[0]
    assert scan.files == ScanFiles(confounds=tmp_path / "c.tsv", confound_columns=("breath",))


@pytest.mark.parametrize(
    ("keys", "kind", "words"),
    [
        ('confounds = "none.tsv"', DataError, "subject a: confounds of a 1: there is no file"),
        ('mask = "none.nii"', DataError, "subject a: mask of a 1: there is no file"),
        ('confound_columns = ["x"]', ConfigError, "has confound_columns but no confounds"),
        ('right = "none.gii"', DataError, "right of a 1: there is no file"),
        ('variable = "ts"', DataError, "holds one table, so 'ts' names nothing"),
    ],
)
def test_keys_of_a_scan_that_cannot_be_meant(tmp_path, keys, kind, words):
    with pytest.raises(kind, match=words):
        load_study(study(tmp_path, keys, a=series()))


def test_what_is_for_tables_only(tmp_path):
    plain(tmp_path / "a.nii")
    text = (study(tmp_path, "transposed = true", a=series()) / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace("a.npy", "a.nii"))
    with pytest.raises(ConfigError, match=r"transposed, variable and right are for tables; a\.nii is none"):
        load_study(tmp_path)
    surface = gifti(tmp_path / "s.func.gii", series())
    with pytest.raises(DataError, match="says itself which axis is time; leave transposed out"):
        read_scan_table(Source(surface, scan=ScanFiles(transposed=True)))
