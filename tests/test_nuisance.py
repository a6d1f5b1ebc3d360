"""Confounds: which of fMRIPrep's leave a scan, against nilearn; own tables; what is said of a broken one."""

import json

import numpy as np
import pandas as pd
import pytest
from giblet import ConfigError, DataError, Nuisance, ScanFiles, Source
from giblet.alignment import clean
from giblet.media import read_nuisance
from giblet.pipeline.nuisance import nuisance_of, regressors
from giblet_fmri_mask import FmriMask
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.signal import clean as nilearn_clean

T, TR_S = 120, 2.0
RNG = np.random.default_rng(0)
MOTION = [f"{k}_{axis}" for k in ("trans", "rot") for axis in "xyz"]


def columns():
    table = {}
    for name in (*MOTION, "csf", "white_matter", "global_signal"):
        x = np.cumsum(RNG.standard_normal(T)) + 3
        change = np.diff(x, prepend=np.nan)
        table |= {name: x, f"{name}_derivative1": change, f"{name}_power2": x**2}
        table[f"{name}_derivative1_power2"] = change**2
    t = (np.arange(T) + 0.5) / T
    table |= {f"cosine{k:02d}": np.cos(np.pi * (k + 1) * t) for k in range(3)}
    for k in range(4):
        table[f"a_comp_cor_{k:02d}"] = RNG.standard_normal(T)
    table["framewise_displacement"] = np.concatenate([[np.nan], np.full(T - 1, 0.1)])
    table["std_dvars"] = np.concatenate([[np.nan], np.full(T - 1, 1.0)])
    return table


def write(folder, table, name="sub-1_task-film_desc-confounds_timeseries.tsv"):
    folder.mkdir(exist_ok=True)
    pd.DataFrame(table).to_csv(folder / name, sep="\t", index=False, na_rep="n/a")
    facts = {f"a_comp_cor_{k:02d}": {"Method": "aCompCor", "Mask": "combined", "Retained": True} for k in range(4)}
    (folder / name).with_suffix(".json").write_text(json.dumps(facts))
    return Source(
        folder / "sub-1_task-film_space-T1w_desc-preproc_bold.nii.gz", scan=ScanFiles(confounds=folder / name)
    )


@pytest.mark.parametrize(
    ("strategies", "options", "n"),
    [
        (None, {}, 8),
        (["motion"], {"motion": "full"}, 24),
        (["motion", "global_signal"], {"global_signal": "power2"}, 8),
        (["compcor"], {"n_compcor": 3}, 3),
        (["motion", "high_pass"], {}, 9),
    ],
)
def test_strategies_are_nilearns(tmp_path, strategies, options, n):
    source = write(tmp_path, columns())
    found = read_nuisance(source, strategies, options)
    assert found.regressors.shape == (T, n)
    assert not found.censored.any()
    wanted = [*(strategies or ("motion", "wm_csf"))]
    wanted += ["high_pass"] if "compcor" in wanted else []
    frame, _ = load_confounds(str(source.path), tuple(wanted), demean=False, **{"motion": "basic", **options})
    np.testing.assert_array_equal(found.regressors, frame[list(found.names)])
    assert np.isfinite(found.regressors).all()  # derivatives have no first value


def test_cosines_are_taken_out_once(tmp_path):
    source = write(tmp_path, columns())
    assert not [n for n in read_nuisance(source, ["compcor"]).names if n.startswith("cosine")]
    with pytest.raises(ValueError, match="high_pass_s takes slow drifts out already"):
        FmriMask(confounds=["high_pass"])
    with pytest.raises(ValueError, match="set high_pass_s, or add high_pass"):
        FmriMask(confounds=["compcor"], high_pass_s=None)
    assert len(FmriMask(confounds=["high_pass"], high_pass_s=None).nuisance(source).names) == 3


def test_volumes_before_the_steady_state_and_with_motion_are_left_out(tmp_path):
    table = columns()
    table["non_steady_state_outlier00"] = np.eye(T)[0]
    table["framewise_displacement"][60] = 2.0
    source = write(tmp_path, table)
    assert np.flatnonzero(read_nuisance(source).censored).tolist() == [0]
    scrubbed = read_nuisance(source, ["motion", "scrub"], {"scrub": 0})
    assert np.flatnonzero(scrubbed.censored).tolist() == [0, 60]


def test_one_regression_is_that_of_nilearn(tmp_path):
    """Drift, trend and confounds at once, censored volumes left out, against nilearn.signal.clean."""
    table = columns()
    for k in (0, 1):
        table[f"non_steady_state_outlier{k:02d}"] = np.eye(T)[k]
    table["framewise_displacement"][70:72] = 3.0
    found = read_nuisance(write(tmp_path, table), ["motion", "wm_csf", "scrub"], {"scrub": 0})
    x, censored = regressors(found, T)
    y = RNG.standard_normal((T, 5)) + 4 * RNG.standard_normal((1, 5)) + found.regressors @ RNG.standard_normal((8, 5))
    y[censored] = 1e4
    ours = clean(y, [slice(None)], TR_S, 128.0, confounds=x)
    trend = np.arange(T)[:, None]  # nilearn's own would count the volumes that stay, as if there were no gap
    theirs = nilearn_clean(
        y,
        confounds=np.concatenate([found.regressors, trend], axis=1),
        sample_mask=np.flatnonzero(~censored),
        detrend=False,
        standardize=None,
        filter="cosine",
        high_pass=1 / 128,
        t_r=TR_S,
    )
    assert censored.sum() == 4
    np.testing.assert_allclose(ours[~censored], theirs - theirs.mean(0), atol=1e-8)
    np.testing.assert_allclose(ours[censored], 0, atol=1e-8)


def test_each_block_is_cleaned_by_itself(tmp_path):
    source = write(tmp_path, columns())
    x, _ = regressors(read_nuisance(source), T)
    y = RNG.standard_normal((T, 3))
    changed = y.copy()
    changed[60:] = 7 * RNG.standard_normal((60, 3))
    blocks = [slice(0, 60), slice(60, T)]
    np.testing.assert_array_equal(
        clean(y, blocks, TR_S, confounds=x)[:60], clean(changed, blocks, TR_S, confounds=x)[:60]
    )


def test_a_table_of_ones_own(tmp_path):
    table = {"pulse": np.arange(T) / 3.0, "breath": RNG.standard_normal(T)}
    table["breath"][0] = np.nan
    source = write(tmp_path, table, "nuisance.tsv")
    assert read_nuisance(source).names == ("pulse", "breath")
    assert read_nuisance(source).regressors[0, 1] == table["breath"][1]
    one = Source(source.path, scan=ScanFiles(confounds=source.scan.confounds, confound_columns=("breath",)))
    np.testing.assert_allclose(read_nuisance(one).regressors[1:, 0], table["breath"][1:])
    assert read_nuisance(one, []) is None
    np.save(tmp_path / "n.npy", RNG.standard_normal((T, 2)))
    plain = Source(source.path, scan=ScanFiles(confounds=tmp_path / "n.npy"))
    assert read_nuisance(plain).names == ("column 1", "column 2")


@pytest.mark.parametrize(
    ("change", "strategies", "words"),
    [
        (lambda t: t.pop("csf"), None, "has not what motion, wm_csf need"),
        (lambda t: t.pop("trans_x"), ["motion"], "trans_x"),
        (lambda t: t["rot_z"].__setitem__(7, np.nan), ["motion"], r"rot_z has no value at volume 7 \(counted from 0\)"),
        (lambda t: t.pop("std_dvars"), ["scrub"], "std_dvars"),
    ],
)
def test_what_a_table_lacks_is_named(tmp_path, change, strategies, words):
    table = columns()
    change(table)
    with pytest.raises(DataError, match=words) as error:
        read_nuisance(write(tmp_path, table), strategies)
    assert "\n" not in str(error.value)


def test_columns_tables_and_lengths_that_are_not_there(tmp_path):
    source = write(tmp_path, {"pulse": np.arange(T) / 3.0}, "nuisance.tsv")
    files = ScanFiles(confounds=source.scan.confounds, confound_columns=("puls",))
    with pytest.raises(DataError, match="no column 'puls'; did you mean 'pulse'"):
        read_nuisance(Source(source.path, scan=files))
    with pytest.raises(DataError, match="there is no table of confounds"):
        read_nuisance(Source(source.path, scan=ScanFiles(confounds=tmp_path / "none.tsv")))
    with pytest.raises(DataError, match=r"has no table of confounds beside it; give it, or set fmri.confounds=\[\]"):
        read_nuisance(Source(source.path), ["motion"])
    assert read_nuisance(Source(source.path)) is None
    with pytest.raises(DataError, match=f"has {T} rows, .* 99 volumes; give its table"):
        nuisance_of(FmriMask(), source, 99)


class Still(FmriMask):
    """A brain modality with confounds that leave out most of a scan."""

    def nuisance(self, source):
        return Nuisance(np.zeros((T, 1)), ("x",), np.arange(T) < 70)


def test_a_scan_of_which_too_little_stays_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"70 of {T} volumes of .* are to be left out; too few stay"):
        nuisance_of(Still(), Source(tmp_path / "a.nii"), T)


def test_regressors_follow_the_grid():
    found = Nuisance(np.ones((5, 1)), ("x",), np.array([True, False, False, False, True]))
    x, censored = regressors(found, 4)
    assert x.tolist() == [[0, 1], [1, 0], [1, 0], [1, 0]]
    assert censored.tolist() == [True, False, False, False]
    longer, censored = regressors(found, 7)
    assert longer.shape == (7, 3)
    assert np.flatnonzero(censored).tolist() == [0, 4]


def test_options_of_strategies_that_are_not_asked_for():
    with pytest.raises(ValueError, match=r"confound_options.n_compcor has no effect: confounds lack compcor; add it"):
        FmriMask(confound_options={"n_compcor": 5})
    assert FmriMask(confound_options={"motion": "full"}).nuisance(Source("a.nii")) is None


@pytest.mark.parametrize("settings", [{"confounds": ["motoin"]}, {"confound_options": {"motoin": "full"}}])
def test_strategies_that_do_not_exist(settings):
    from giblet.plugins import Registry

    with pytest.raises(ConfigError, match="motoin"):
        Registry.discover().modality("fmri_mask", **settings)
