"""Which files belong together, and what is said where that is open."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet import ConfigError, DataError, seconds
from giblet.data.bold import require_sound
from giblet.data.naming import identify
from giblet.data.study import FeatureTable, load_study, study_from_flags

RNG = np.random.default_rng(0)
TOML = """
[study]
name = "two-films"
description = "a test"
labels = "labels.csv"

[[stimulus]]
name = "one"
film = "one.mp4"
annotations = "embedded"
video_stream = 1
features = { motion = "motion.tsv", rate = { path = "motion.tsv", tr_s = 0.5, start_s = 20, hemodynamics = "applied" } }

[[stimulus]]
name = "two"
film = "two.wav"
annotations = "two.TextGrid"
annotations_stream = "words"
files = { eeg = "eeg.npy" }

[[scan]]
subject = "anna"
run = "run-1"
stimulus = "one"
bold = "anna1.npy"
offset_s = 0.1

[[scan]]
subject = "anna"
run = "run-2"
stimulus = "two"
bold = "anna2.npy"
slice_time_ref = 0.0

[split]
"run-1" = [["train", 0, 20], ["test", 30, 40]]
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("one.mp4", "two.wav", "two.TextGrid", "eeg.npy", "motion.tsv", "labels.csv"):
        (tmp_path / name).write_text("1\n2\n")
    for name in ("anna1", "anna2"):
        np.save(tmp_path / f"{name}.npy", RNG.normal(size=(40, 3)))
        (tmp_path / f"{name}.json").write_text(json.dumps({"RepetitionTime": 1.5}))
    (tmp_path / "study.toml").write_text(TOML)
    return tmp_path


def change(folder, old, new):
    assert old in TOML
    (folder / "study.toml").write_text(TOML.replace(old, new))
    return folder / "study.toml"


def test_a_study_file(folder):
    study = load_study(folder)
    one, two = study.stimuli
    assert one.files == dict.fromkeys(("video", "audio", "text"), folder / "one.mp4")
    assert one.streams == {"video": "1", "text": "embedded"}
    assert one.features["motion"] == FeatureTable(folder / "motion.tsv")
    assert one.features["rate"] == FeatureTable(folder / "motion.tsv", Fraction(1, 2), Fraction(20), "applied")
    assert two.files == {"audio": folder / "two.wav", "text": folder / "two.TextGrid", "eeg": folder / "eeg.npy"}
    assert two.streams == {"text": "words"}
    a, b = study.scans
    assert (a.tr_s, a.n_volumes, a.offset_s, a.slice_time_ref) == (Fraction("1.5"), 40, Fraction(1, 10), 0.5)
    assert (b.stimulus, b.offset_s, b.slice_time_ref) == ("two", 0, 0.0)
    assert (study.subjects, study.runs, study.tr_s) == (("anna",), ("run-1", "run-2"), Fraction("1.5"))
    assert study.split == {"run-1": (("train", 0, 20), ("test", 30, 40))}
    assert study.labels == folder / "labels.csv"
    assert study.notes == ("no slice times: volumes count as taken at 0.5 of their TR",)
    assert load_study(folder / "study.toml", seconds(2)).tr_s == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("offset_s", "ofset_s", r"\[\[scan\]\] number 1 has no key 'ofset_s'; did you mean 'offset_s'"),
        ("[split]", "[splits]", r"the file has no key 'splits'; did you mean 'split'"),
        ("tr_s = 0.5", "tr = 0.5", r"number 1 features.rate has no key 'tr'; did you mean 'tr_s'"),
        ('run = "run-2"', "", r"\[\[scan\]\] number 2 lacks the key 'run'"),
        ("offset_s = 0.1", 'offset_s = "soon"', r"number 1 offset_s = 'soon' is not possible"),
        ('stimulus = "two"', 'stimulus = "tow"', r"no stimulus 'tow'; did you mean 'two'"),
        ('run = "run-2"', 'run = "run-1"', "scan 'anna run-1' is named twice"),
        ('bold = "anna2.npy"', 'bold = "anna1.npy"', "is named twice"),
        ('name = "two"', 'name = "one"', "stimulus 'one' is named twice"),
        ('"test", 30, 40', '"test", 30, 41', "test ends at TR 41, but the run has 40"),
        ('"test", 30, 40', '"test", 10, 40', "test 10 to 40 is empty or overlaps"),
        ('"test", 30, 40', '"tset", 30, 40', "'tset' is not possible: Input should be 'train', 'validation' or 'test'"),
        ('"run-1" =', '"run-3" =', r"\[split\] has no run 'run-3'; did you mean"),
        ("eeg = ", "text = ", "two files of kind 'text'"),
        ('film = "one.mp4"', "", "embedded annotations are captions inside a film"),
        ("[study]", "[study", "is no TOML"),
    ],
)
def test_what_cannot_be_meant(folder, old, new, words):
    with pytest.raises(ConfigError, match=words) as error:
        load_study(change(folder, old, new))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["one.mp4", "two.TextGrid", "eeg.npy", "motion.tsv", "labels.csv", "anna2.npy"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"there is no file {folder / name}"):
        load_study(folder)


def test_the_order_in_which_trs_decide(folder):
    path = change(folder, 'description = "a test"', "tr_s = 2.0")
    assert load_study(path).tr_s == 2
    path.write_text(path.read_text().replace('run = "run-2"', 'run = "run-2"\ntr_s = 2.5'))
    with pytest.raises(ConfigError, match=r"different TRs: 2 s \(anna\), 2\.5 s \(anna\)"):
        _ = load_study(path).tr_s
    assert load_study(path, exclude=["anna/run-2"]).tr_s == 2
    assert load_study(path, seconds(3)).tr_s == 3


def scan_files(folder, *names, n=30):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, RNG.normal(size=(n, 3)))
    return [folder / n for n in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["s18-time.npy", "s22-time.npy"], [("s18", "run-1"), ("s22", "run-1")]),
        (["sub-01_task-x_run-1_bold.npy", "sub-01_task-x_run-2_bold.npy"], [("sub-01", "run-1"), ("sub-01", "run-2")]),
        (["sub-01_task-a_bold.npy", "sub-01_task-b_bold.npy"], [("sub-01", "task-a"), ("sub-01", "task-b")]),
        (["sub-01/bold.npy", "sub-02/bold.npy"], [("sub-01", "run-1"), ("sub-02", "run-1")]),
        (["anna/scan.npy", "bob/scan.npy"], [("anna", "run-1"), ("bob", "run-1")]),
        (["a_run1.npy", "a_run2.npy", "b_run1.npy"], [("a", "run-1"), ("a", "run-2"), ("b", "run-1")]),
        (["anna_2019_x.npy", "bob_2020_x.npy", "cyd_2020_x.npy"], [(n, "run-1") for n in ("anna", "bob", "cyd")]),
        (["functional.npy"], [("functional", "run-1")]),
    ],
)
def test_names_tell_subjects_and_runs(tmp_path, names, expected):
    assert [(n.subject, n.run) for n in identify(scan_files(tmp_path, *names))] == expected


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a_1.npy", "a_2.npy", "b_1.npy", "b_2.npy"], "which part is the subject"),
        (["sub-1_space-a_bold.npy", "sub-1_space-b_bold.npy"], "are both sub-1 run-1"),
    ],
)
def test_names_that_leave_it_open(tmp_path, names, words):
    with pytest.raises(ConfigError, match=words):
        identify(scan_files(tmp_path, *names))


@pytest.fixture
def films(tmp_path):
    for name in ("film_run-1.mp4", "film_run-02.mp4", "words.tsv"):
        (tmp_path / name).write_text("onset\tduration\tdescription\n0\t1\ta\n2\t3.5\tb\n")
    return tmp_path


def test_one_film_and_many_people(films):
    scan_files(films, "s1-x.npy", "s2-x.npy")
    (films / "s1-x.json").write_text("{}")
    study = study_from_flags([films / "film_run-1.mp4"], ["embedded"], [str(films / "s*-x.*")], Fraction(2), [20])
    assert study.subjects == ("s1", "s2")
    assert {s.stimulus for s in study.scans} == {"film_run-1"}
    assert {s.offset_s for s in study.scans} == {20}
    assert study.stimuli[0].streams == {"text": "embedded"}


def test_films_are_matched_with_runs_by_number(films):
    scan_files(films, *(f"sub-{s}_run-{r}_bold.npy" for s in (1, 2) for r in ("1", "02")))
    study = study_from_flags(
        [films / "film_run-02.mp4", films / "film_run-1.mp4"],
        bold=[str(films / "*bold.npy")],
        tr_s=Fraction(2),
        offset_s=[5, 7],
    )
    found = {(s.subject, s.run): (s.stimulus, s.offset_s) for s in study.scans}
    for sub in ("sub-1", "sub-2"):
        assert found[sub, "run-1"] == ("film_run-1", 5)
        assert found[sub, "run-02"] == ("film_run-02", 7)


def test_films_are_matched_by_task_or_order_or_not_at_all(films):
    for name in ("life.mp4", "party.mp4"):
        (films / name).write_text("x")
    both = [films / "life.mp4", films / "party.mp4"]
    scan_files(films, "sub-1_task-party_bold.npy", "sub-1_task-life_bold.npy")
    study = study_from_flags(both, bold=[str(films / "*bold.npy")], tr_s=Fraction(2))
    assert {s.run: s.stimulus for s in study.scans} == {"task-party": "party", "task-life": "life"}
    scan_files(films, "a_run1.npy", "a_run2.npy")
    study = study_from_flags(both, bold=[str(films / "a_*.npy")], tr_s=Fraction(2))
    assert [s.stimulus for s in study.scans] == ["life", "party"]
    with pytest.raises(ConfigError, match="which of the 2 films did"):
        study_from_flags(both, bold=[str(films / "a_run1.npy")], tr_s=Fraction(2))


def test_a_stimulus_without_film_and_ready_made_features(films):
    scan_files(films, "x.npy")
    bold, tsv = [str(films / "x.npy")], films / "words.tsv"
    study = study_from_flags(annotations=[str(tsv)], bold=bold, tr_s=Fraction(2), features=[("rate", tsv)])
    assert study.stimuli[0].files == {"text": tsv}
    assert study.stimuli[0].features == {"rate": FeatureTable(tsv)}
    only = study_from_flags(bold=bold, tr_s=Fraction(2), features=[("rate", tsv)])
    assert only.stimuli[0].files == {}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"bold": ["nothing*.npy"]}, "'nothing\\*.npy' matches no file"),
        ({"bold": []}, "there are no scans; give --bold"),
        ({"film": []}, "there is no stimulus"),
        ({"film": ["a.mp4", "a.mp4"]}, "names a.mp4 twice"),
        ({"annotations": ["a.tsv", "b.tsv"]}, "2 annotations do not match"),
        ({"exclude": ["s3"]}, "--exclude 's3' is no subject; legal: s1, s2"),
        ({"exclude": ["s1", "s2"]}, "leaves no scan"),
        ({"offset_s": [1, 2]}, "2 offsets for the runs run-1"),
        ({"tr_s": Fraction(0)}, "is not positive"),
        ({"features": [("a", Path("s1.npy")), ("a", Path("s2.npy"))]}, "'a' is named twice"),
    ],
)
def test_flags_that_cannot_be_meant(tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    scan_files(tmp_path, "s1.npy", "s2.npy")
    (tmp_path / "a.mp4").write_text("x")
    with pytest.raises(ConfigError, match=words):
        study_from_flags(**({"film": ["a.mp4"], "bold": ["s*.npy"], "tr_s": Fraction(2)} | flags))


def test_a_table_needs_a_tr_and_the_broken_are_named_together(films):
    scan_files(films, "s1.npy", "s2.npy", "s3.npy")
    film, bold = [films / "film_run-1.mp4"], [str(films / "s?.npy")]
    with pytest.raises(ConfigError, match=r"s1.npy is a table, which says no TR; give --tr SECONDS"):
        study_from_flags(film, bold=bold)
    (films / "s2.npy").write_bytes(b"junk")
    np.save(films / "s3.npy", np.zeros(0))
    with pytest.raises(DataError, match=r"subject s2: .*subject s3: .*--exclude s2 --exclude s3"):
        study_from_flags(film, bold=bold, tr_s=Fraction(2))
    assert study_from_flags(film, bold=bold, tr_s=Fraction(2), exclude=["s2", "s3"]).subjects == ("s1",)


def test_features_alone_need_no_scan(films):
    study = study_from_flags([films / "film_run-1.mp4"], needs_bold=False, tr_s=Fraction("1.5"))
    assert (study.scans, study.tr_s) == ((), Fraction("1.5"))
    with pytest.raises(ConfigError, match="give --tr SECONDS"):
        _ = study_from_flags([films / "film_run-1.mp4"], needs_bold=False).tr_s


@pytest.mark.real_data
def test_alice(test_data):
    d = test_data / "fmri_alice"
    flags = {
        "annotations": [str(d / "DownTheRabbitHole.TextGrid")],
        "bold": [str(d / "s*-timecourses.txt")],
        "tr_s": seconds(2),
        "offset_s": [20],
    }
    everybody = study_from_flags(**flags)
    assert len(everybody.scans) == 28
    with pytest.raises(DataError, match=r"subject s33 .*all 6 columns are zero throughout.*--exclude s33$") as error:
        require_sound(everybody.scans)
    assert error.value.exit_code == 2
    assert str(error.value).count("subject ") == 1
    study = study_from_flags(**flags, exclude=["s33"])
    require_sound(study.scans)
    assert len(study.subjects) == 27
    assert {(s.n_volumes, s.offset_s, s.tr_s) for s in study.scans} == {(362, 20, 2)}


@pytest.mark.real_data
def test_partly_cloudy(test_data):
    d = test_data / "fmri_partly_cloudy"
    study = study_from_flags(annotations=[str(d / "events.tsv")], bold=[str(d / "sub-*.npy")], tr_s=seconds("0.8"))
    assert study.subjects[0] == "sub-0001"
    assert {s.n_volumes for s in study.scans} == {380}
    require_sound(study.scans)


@pytest.mark.real_data
def test_a_given_tr_overrules_the_header(test_data):
    d = test_data / "film"
    bunny = study_from_flags(
        [d / "big_buck_bunny_30s.mp4"], bold=[str(test_data / "nifti" / "functional.nii")], tr_s=seconds("1.5")
    )
    assert bunny.tr_s == Fraction("1.5")
    assert "the TR given, 1.5 s, was used; the header says 2 sec" in bunny.notes
