"""Scans of a study with confounds: what leaves them, which volumes are used, and what a run keeps of it."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import giblet
import numpy as np
import pytest
import torch
from giblet import ConfigError, DataError, ScanFiles, load_study
from giblet.analysis.joined import joined_cleaning, without_confounds
from giblet.api.request import Request, registry_of_run
from giblet.brain import BrainModality
from giblet.data.table import FeatureTable
from giblet.model.reading import cleaned
from giblet.pipeline.decoding import reading_notes
from giblet.pipeline.new_scan import as_the_runs, read_scan
from giblet.pipeline.prepare import extract_study
from giblet.pipeline.study_record import identity, record, require_files, restored
from giblet.plugins import Registry
from giblet_fmri_mask import FmriMask
from nilearn.signal import clean as nilearn_clean

T, V, TR_S = 300, 4, 2.0
BLOCKS = {"train": (0, 150), "validation": (190, 224), "test": (260, 300)}
CONFOUNDS = "sub-{}_task-film_desc-confounds_timeseries.tsv"


def table_of(rng, first=None):
    """Two of fMRIPrep's columns, and volumes before the steady state."""
    columns = {"csf": rng.standard_normal(T), "white_matter": rng.standard_normal(T)}
    return columns | ({} if first is None else {"non_steady_state_outlier00": np.eye(T)[first]})


def write(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join(["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    np.save(tmp_path / "motion.npy", rng.standard_normal((T, 2)))
    blocks = [[label, *at] for label, at in BLOCKS.items()]
    text = f'[study]\nname = "s"\ntr_s = {TR_S}\n[split]\n1 = {json.dumps(blocks)}\n'
    text += '[[stimulus]]\nname = "film"\nfeatures = { motion = "motion.npy" }\n'
    for person in ("1", "2"):
        np.save(tmp_path / f"{person}.npy", 100 + rng.standard_normal((T, V)))
        write(tmp_path / CONFOUNDS.format(person), table_of(rng, 20 if person == "2" else None))
        text += f'[[scan]]\nsubject = "{person}"\nrun = "1"\nstimulus = "film"\nbold = "{person}.npy"\n'
        text += f'confounds = "{CONFOUNDS.format(person)}"\n'
    (tmp_path / "study.toml").write_text(text)
    return tmp_path


def inputs_of(folder, **settings):
    request = Request.of({}, {"fmri.confounds": ["wm_csf"], "split.gap_s": 60, "model.kernel_s": 24} | settings)
    study, config = request.of_study(load_study(folder))
    return extract_study(study, config, registry_of_run(), lambda *_: None)


def columns(folder, person):
    return np.loadtxt(folder / CONFOUNDS.format(person), skiprows=1)[:, :2]


def test_confounds_leave_each_block_in_one_regression(folder):
    found = inputs_of(folder).timelines[0]
    y = np.load(folder / "1.npy")
    made = {}
    for label, (start, stop) in BLOCKS.items():
        rows = slice(start, stop)
        made[label] = nilearn_clean(
            y[rows],
            confounds=columns(folder, 1)[rows],
            detrend=True,
            standardize=None,
            filter="cosine",
            high_pass=1 / 128,
            t_r=TR_S,
        )
    sd = made["train"].std(0)
    for label, (start, stop) in BLOCKS.items():
        np.testing.assert_allclose(found.scans["1"][start:stop], made[label] / sd, atol=1e-5)
    assert found.scanned["1"].sum() == sum(stop - start for start, stop in BLOCKS.values())


def test_predictions_are_rid_of_what_left_the_scan(folder):
    """A prediction goes through the same regression as the scan that it is compared with, each person's own."""
    t = inputs_of(folder).timelines[0]
    x = np.random.default_rng(5).standard_normal((T, 3)).astype(np.float32)
    blocks = [slice(*b) for b in BLOCKS.values()]
    inside = np.concatenate([np.arange(b.start, b.stop) for b in blocks])
    drift = joined_cleaning([t])(x)
    wanted = {}
    for person in ("1", "2"):
        spike = np.eye(T)[:, 20:21] * (person == "2")
        regress = np.concatenate([columns(folder, person) * (1 - spike), spike], axis=1)
        wanted[person] = FmriMask().clean(x, blocks, TR_S, regress)[inside]
        np.testing.assert_allclose(cleaned(torch.from_numpy(x), t, person).numpy()[inside], wanted[person], atol=1e-5)
        np.testing.assert_allclose(without_confounds([t], [person], drift)[inside], wanted[person], atol=1e-5)
    group = (wanted["1"] + wanted["2"]) / 2
    group[20] = wanted["1"][20]  # where the other was not measured, the mean is of one
    np.testing.assert_allclose(without_confounds([t], ["1", "2"], drift)[inside], group, atol=1e-5)
    np.testing.assert_allclose(cleaned(torch.from_numpy(x), t, "nobody").numpy(), drift, atol=1e-5)


def cut_short(folder, stop):
    """Person 1's scan ends early, and so do their confounds; the other's goes on."""
    np.save(folder / "1.npy", np.load(folder / "1.npy")[:stop])
    write(folder / CONFOUNDS.format(1), {k: x[:stop] for k, x in table_of(np.random.default_rng(1)).items()})


def test_predictions_of_a_short_scan_are_cleaned_as_far_as_it_goes(folder):
    """Drift over 25 volumes is not drift over the whole block, of which the others have more."""
    stop = 285
    cut_short(folder, stop)
    t = inputs_of(folder).timelines[0]
    x = np.random.default_rng(5).standard_normal((T, 3)).astype(np.float32)
    rows, whole = slice(BLOCKS["test"][0], stop), slice(*BLOCKS["test"])
    without = FmriMask().clean(x[rows], [slice(None)], TR_S, None)
    np.testing.assert_allclose(joined_cleaning([t], "1")(x)[rows], without, atol=1e-5)
    others = FmriMask().clean(x[whole], [slice(None)], TR_S, None)
    for everybody in ("2", None):
        np.testing.assert_allclose(joined_cleaning([t], everybody)(x)[whole], others, atol=1e-5)
    wanted = FmriMask().clean(x[rows], [slice(None)], TR_S, columns(folder, 1)[rows])
    np.testing.assert_allclose(cleaned(torch.from_numpy(x), t, "1").numpy()[rows], wanted, atol=1e-5)
    assert np.abs(without - others[: stop - whole.start]).max() > 0.05


def test_a_few_volumes_at_the_end_of_a_scan_are_not_used(folder):
    """Cleaning would fit all of them."""
    cut_short(folder, BLOCKS["test"][0] + 15)
    t = inputs_of(folder).timelines[0]
    assert not t.scanned["1"][slice(*BLOCKS["test"])].any()
    assert t.scanned["2"][slice(*BLOCKS["test"])].all()
    assert not t.scans["1"][slice(*BLOCKS["test"])].any()


def test_a_short_scan_loses_its_confounds_as_far_as_it_goes(folder):
    """The prediction of a test block that breaks off is regressed over the volumes that the scan has."""
    stop = 285
    cut_short(folder, stop)
    settings = {"fmri.high_pass_s": None, "fmri.detrend": False}
    t = inputs_of(folder, **settings).timelines[0]
    x = np.random.default_rng(5).standard_normal((T, 3)).astype(np.float32)
    rows = slice(BLOCKS["test"][0], stop)
    confounds = columns(folder, 1)[rows]
    wanted = FmriMask(high_pass_s=None, detrend=False).clean(x[rows], [slice(None)], TR_S, confounds)
    found = cleaned(torch.from_numpy(x), t, "1").numpy()[rows]
    np.testing.assert_allclose(found - found.mean(0), wanted, atol=1e-5)


def test_predictions_for_the_average_person_lose_what_its_scan_lost(folder):
    people = inputs_of(folder).timelines[0]
    t = inputs_of(folder, **{"fmri.subjects": "average"}).timelines[0]
    x = np.random.default_rng(5).standard_normal((T, 3)).astype(np.float32)
    each = [cleaned(torch.from_numpy(x), people, s).numpy() for s in ("1", "2")]
    wanted = np.mean(each, 0)
    found = cleaned(torch.from_numpy(x), t, "average").numpy()
    whole = slice(*BLOCKS["test"])
    np.testing.assert_allclose(found[whole], wanted[whole], atol=1e-5)
    np.testing.assert_allclose(found[20], each[0][20], atol=0.1)  # the second person was not measured there
    drift = joined_cleaning([t])(x)
    np.testing.assert_allclose(without_confounds([t], ["average"], drift), found, atol=1e-5)


def test_volumes_before_the_steady_state_are_not_used(folder):
    y = np.load(folder / "2.npy")
    y[20] = 1e6
    np.save(folder / "2.npy", y)
    found = inputs_of(folder)
    t = found.timelines[0]
    assert not t.scanned["2"][20]
    assert t.scanned["1"][20]
    assert t.scanned["2"].sum() == t.scanned["1"].sum() - 1
    assert not t.scans["2"][20].any()
    train = t.trs("train")
    used = t.scans["2"][train[t.scanned["2"][train]]]
    np.testing.assert_allclose(used.std(0), 1, rtol=1e-4)
    rows = found.described["scans"]
    assert [r["confounds"] for r in rows] == [["csf", "white_matter"]] * 2
    assert [r["censored_volumes"] for r in rows] == [0, 1]


def test_confounds_of_test_blocks_do_not_touch_training(folder):
    before = inputs_of(folder).timelines[0]
    changed = table_of(np.random.default_rng(9))
    kept = columns(folder, 1)
    for k, name in enumerate(("csf", "white_matter")):
        changed[name][: BLOCKS["train"][1]] = kept[: BLOCKS["train"][1], k]
    write(folder / CONFOUNDS.format(1), changed)
    after = inputs_of(folder).timelines[0]
    train = slice(*BLOCKS["train"])
    np.testing.assert_array_equal(before.scans["1"][train], after.scans["1"][train])
    assert not np.allclose(before.scans["1"][slice(*BLOCKS["test"])], after.scans["1"][slice(*BLOCKS["test"])])


def test_none_are_taken_out_where_none_are_asked_for(folder):
    found = inputs_of(folder, **{"fmri.confounds": []})
    assert found.timelines[0].nuisance == {}
    assert found.timelines[0].scanned["2"][20]
    plain = FmriMask().clean(np.load(folder / "1.npy"), [slice(*b) for b in BLOCKS.values()], TR_S)
    np.testing.assert_allclose(found.timelines[0].scans["1"], plain / plain[:150].std(0), atol=1e-5)


def test_everybody_whose_confounds_are_broken_is_named(folder):
    for person in ("1", "2"):
        path = folder / CONFOUNDS.format(person)
        path.write_text("\n".join(path.read_text().splitlines()[:-3]))
    with pytest.raises(
        DataError, match=r"subject 1: .* has 297 rows, 1\.npy 300 volumes.*subject 2: .*--exclude 1 --exclude 2"
    ):
        inputs_of(folder)


def test_missing_confounds_stop_a_run_before_anything_is_extracted(folder, monkeypatch):
    text = (folder / "study.toml").read_text().replace(f'confounds = "{CONFOUNDS.format(2)}"\n', "")
    (folder / "study.toml").write_text(text)
    monkeypatch.setattr("giblet.pipeline.prepare.extract_study", lambda *_: pytest.fail("films were read first"))
    with pytest.raises(
        DataError, match=r"subject 2: .*2\.npy has no table of confounds beside it; .*fmri\.confounds=\[\]"
    ):
        giblet.fit(folder, folder / "out", settings={"fmri.confounds": ["wm_csf"]}, quiet=True)


def test_too_many_regressors_for_a_block_name_the_subject(folder):
    rng = np.random.default_rng(0)
    many = {f"c{k}": rng.standard_normal(T) for k in range(40)}
    for person in ("1", "2"):
        write(folder / "many.tsv", many)
        text = (folder / "study.toml").read_text().replace(CONFOUNDS.format(person), "many.tsv")
        (folder / "study.toml").write_text(text)
    with pytest.raises(
        DataError, match=r"subject 1 \(1\): the block of TRs 190:224 is too short to clean: 34 TRs.*exclude 1"
    ):
        inputs_of(folder, **{"fmri.confounds": None})


def test_a_run_keeps_what_belongs_to_its_scans(folder):
    study = load_study(folder)
    kept = json.loads(json.dumps(record(study, folder)))
    assert restored(kept, folder) == study
    assert "confounds of 2 1" in kept["content"]
    require_files(study, kept, folder)
    before = identity(study)
    write(folder / CONFOUNDS.format(2), table_of(np.random.default_rng(3)))
    assert identity(study) != before
    with pytest.raises(DataError, match="has changed since the run"):
        require_files(study, kept, folder)


def finished(*columns, **facts):
    """As much of a finished run on tables as reading a scan needs; columns of confounds that its scans lost."""
    told = [{"subject": str(k + 1), "variable": None, "confound_columns": list(c)} for k, c in enumerate(columns)]
    brain = FmriMask(confounds=["wm_csf"]).fitted(columns=np.array([V]))
    people = {"bold_sd": {"1": np.ones(V)}, "subjects": ["1"]}
    return SimpleNamespace(
        registry=Registry.discover(),
        brain=brain,
        tables=True,
        blueprint=SimpleNamespace(tr_s=Fraction(2)),
        read_as=told,
        **people,
        **facts,
    )


def test_a_new_scan_is_rid_of_its_confounds(folder):
    scan = folder / "sub-2_task-film_space-T1w_desc-preproc_timeseries.npy"
    np.save(scan, np.load(folder / "2.npy"))
    again = finished(confounds=True)
    files = as_the_runs(again, scan, "1", ScanFiles())
    assert files.confounds == folder / CONFOUNDS.format(2)
    y, valid = read_scan(again, scan, "1", None, files)
    assert np.flatnonzero(~valid).tolist() == [20], "what is censored is not read"
    assert not y[20].any()
    spike = np.eye(T)[:, 20:21]
    x = np.concatenate([columns(folder, 2) * (1 - spike), spike], axis=1)
    np.testing.assert_allclose(y, FmriMask().clean(np.load(scan), [slice(None)], TR_S, x), atol=1e-5)
    np.save(scan, np.load(folder / "2.npy")[:-1])
    with pytest.raises(DataError, match=r"has 300 rows, .* 299 volumes"):
        read_scan(again, scan, "1", None, files)


@pytest.mark.parametrize(
    ("value", "said"),
    [(100.0, "cannot be read back: .*all 4 columns are constant"), (np.nan, "holds 1200 values that are not finite")],
)
def test_a_scan_without_anything_in_it_is_not_read(folder, value, said):
    np.save(folder / "2.npy", np.full((T, V), value))
    again, files = finished(confounds=True), ScanFiles(confounds=folder / CONFOUNDS.format(2))
    with pytest.raises(DataError, match=rf"2\.npy {said}"):
        read_scan(again, folder / "2.npy", "1", None, files)


def test_a_new_scan_needs_confounds_where_the_run_had_them(folder):
    with pytest.raises(DataError, match=r"cleaned of confounds, .* has none beside it; give --confounds FILE"):
        as_the_runs(finished(confounds=True), folder / "2.npy", None, ScanFiles())
    own = ScanFiles(confounds=folder / CONFOUNDS.format(1))
    assert as_the_runs(finished(confounds=True), folder / "2.npy", None, own) == own
    with pytest.raises(DataError, match=r"the run's scans were not cleaned of confounds; leave .* out"):
        as_the_runs(finished(confounds=False), folder / "2.npy", None, own)
    assert as_the_runs(finished(confounds=False), folder / "2.npy", None, ScanFiles()) == ScanFiles()


def test_a_new_scan_loses_the_columns_that_the_run_s_lost(folder):
    own, scan = ScanFiles(confounds=folder / CONFOUNDS.format(2)), folder / "2.npy"
    same, apart = (finished(("csf",), other, confounds=True) for other in (("csf",), ("white_matter",)))
    files = as_the_runs(same, scan, None, own)
    assert files.confound_columns == ("csf",)
    y, _ = read_scan(same, scan, "1", None, files)
    wanted = FmriMask().clean(np.load(scan), [slice(None)], TR_S, columns(folder, 2)[:, :1])
    np.testing.assert_allclose(y, wanted, atol=1e-5)
    assert as_the_runs(apart, scan, "2", own).confound_columns == ("white_matter",)
    with pytest.raises(ConfigError, match=r"different columns of confounds \(csf; white_matter\); give --confound-col"):
        as_the_runs(apart, scan, None, own)
    said = replace(own, confound_columns=("white_matter",))
    assert as_the_runs(apart, scan, None, said) == said
    assert as_the_runs(finished((), (), confounds=True), scan, None, own) == own


def test_somebody_new_is_told_that_they_have_no_basis(folder):
    again, files = finished(confounds=True), ScanFiles(confounds=folder / CONFOUNDS.format(2))
    assert reading_notes(again, None, ScanFiles()) == []
    again.brain = FmriMask(space="srm").fitted(people=np.array(["1"]), bases=np.ones((1, V, 2)), size=np.ones(1))
    (note,) = reading_notes(again, None, ScanFiles())
    assert "read by the mean of all; for a basis of their own, run again with their scans" in note
    assert reading_notes(again, "1", files) == [f"cleaned of the confounds in {CONFOUNDS.format(2)}"]
    named = replace(files, confound_columns=("csf",))
    assert reading_notes(again, "1", named) == [f"cleaned of the confounds in csf of {CONFOUNDS.format(2)}"]


def test_a_new_mat_file_holds_the_run_s_variable(folder):
    again = finished((), (), confounds=False)
    for row in again.read_as:
        row["variable"] = "bold"
    assert as_the_runs(again, folder / "new.mat", None, ScanFiles()).variable == "bold"
    assert as_the_runs(again, folder / "new.mat", "2", ScanFiles(variable="y")).variable == "y"
    assert as_the_runs(again, folder / "new.npy", None, ScanFiles()).variable is None
    again.read_as[0]["variable"] = "scan"
    assert as_the_runs(again, folder / "new.mat", "1", ScanFiles()).variable == "scan"
    assert as_the_runs(again, folder / "new.mat", None, ScanFiles()).variable is None


def test_a_kind_of_brain_that_knows_no_confounds_ignores_them(folder):
    assert BrainModality.nuisance(FmriMask(), load_study(folder).scans[0].source()) is None


@pytest.mark.parametrize("film", [T, 270], ids=["as long as the scans", "shorter"])
def test_modalities_learn_from_training_trs(folder, monkeypatch, film):
    """Also where only the film's end, which extraction finds, says which those are."""
    np.save(folder / "motion.npy", np.random.default_rng(0).standard_normal((film, 2)))
    stated = (folder / "study.toml").read_text().splitlines()
    (folder / "study.toml").write_text("\n".join(line for line in stated if line[:3] not in ("[sp", "1 =")))

    def learn(self, sources, train):
        assert not self.state, "what is fitted again begins anew"
        return self.fitted(train=np.array([[trs.start, trs.stop] for part in train for trs in part]))

    monkeypatch.setattr(FeatureTable, "fit", learn)
    found = inputs_of(folder)
    (t,) = found.timelines
    assert t.grid.n_trs == film
    assert found.modalities["motion"].state["train"].tolist() == [[b.start, b.stop] for b in t.of("train")]
