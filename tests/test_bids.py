"""fMRIPrep's derivatives: what is found by its name, which scans saw what, and what is said of each mistake."""

import json
import os
from fractions import Fraction

import nibabel as nib
import numpy as np
import pytest
from giblet import ConfigError, DataError, study_from_bids, study_from_files
from giblet.cli import main
from giblet.data import bids_tree
from giblet.data.bids_events import annotations_of
from giblet.data.naming import expand
from giblet.data.parts import Study
from giblet.pipeline.presentations import presentations

MNI = "MNI152NLin2009cAsym"
VOLUMES = 12
PREP = "derivatives/fmriprep"


def image(path, shape=(3, 3, 2, VOLUMES), tr_s=2.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = nib.Nifti1Image(np.random.default_rng(0).normal(100, 5, shape).astype(np.float32), np.eye(4))
    made.header.set_zooms((2, 2, 2, tr_s)[: len(shape)])
    made.header.set_xyzt_units("mm", "sec")
    nib.save(made, path)


def scan(root, name, space=f"space-{MNI}", folder=None, tr_s=2.0, beside=("mask", "confounds"), sidecar=None):
    """One scan of fMRIPrep: `name` is `sub-1_task-film_run-1`."""
    func = root / PREP / (folder or name.partition("_")[0]) / "func"
    stem = f"{name}_{space}" if space else name
    image(func / f"{stem}_desc-preproc_bold.nii.gz", tr_s=tr_s)
    facts = {"RepetitionTime": tr_s, "StartTime": tr_s / 2} if sidecar is None else sidecar
    (func / f"{stem}_desc-preproc_bold.json").write_text(json.dumps(facts))
    if "mask" in beside:
        image(func / f"{stem}_desc-brain_mask.nii.gz", (3, 3, 2))
    if "confounds" in beside:
        (func / f"{name}_desc-confounds_timeseries.tsv").write_text("trans_x\n" + "0.5\n" * VOLUMES)


def events(root, name, rows, folder=""):
    path = root / folder / f"{name}_events.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("onset\tduration\tstim_file\n" + "".join("\t".join(row) + "\n" for row in rows))


@pytest.fixture
def tree(tmp_path):
    """Two people, two runs, one film a run; events at the root hold for everybody."""
    root = tmp_path / "ds"
    for person in ("1", "2"):
        for run in ("1", "2"):
            scan(root, f"sub-{person}_task-film_run-{run}")
    (root / "stimuli").mkdir()
    for run in ("1", "2"):
        (root / "stimuli" / f"stim-part{run}_audiovideo.mp4").write_bytes(b"film")
        events(root, f"task-film_run-{run}", [("4", "20", f"stim-part{run}_audiovideo.mp4")])
    return root


def test_scans_masks_confounds_and_films_by_their_names(tree):
    (tree / "stimuli" / "stim-part1_annot-scenes_events.tsv").write_text("onset\tduration\ttext\n0\t2\ta dog\n")
    study = study_from_bids(tree)
    assert (study.name, study.subjects, study.runs) == ("ds-film", ("sub-1", "sub-2"), ("run-1", "run-2"))
    assert [s.stimulus for s in study.scans] == ["part1", "part2"] * 2
    for s in study.scans:
        func = tree / PREP / s.subject / "func"
        stem = f"{s.subject}_task-film_{s.run}"
        assert s.bold == func / f"{stem}_space-{MNI}_desc-preproc_bold.nii.gz"
        assert s.mask == func / f"{stem}_space-{MNI}_desc-brain_mask.nii.gz"
        assert s.files.confounds == func / f"{stem}_desc-confounds_timeseries.tsv"
        assert (s.tr_s, s.n_volumes, s.slice_time_ref) == (2, VOLUMES, 0.5)
        assert s.offset_s == -4  # the film began 4 s after volume 0
    one, two = study.stimuli
    assert one.files["text"] == tree / "stimuli" / "stim-part1_annot-scenes_events.tsv"
    assert set(two.files) == {"video", "audio"}
    assert study_from_bids(tree / PREP) == study_from_bids(tree / "derivatives" / "fmriprep", "task-film", MNI)


def test_events_beside_the_raw_scan_go_before_those_at_the_root(tree):
    events(
        tree,
        "sub-2_task-film_run-1",
        [("n/a", "1", "n/a"), ("0", "9", "stimuli/stim-part2_audiovideo.mp4")],
        "sub-2/func",
    )
    found = {(s.subject, s.run): (s.stimulus, s.offset_s) for s in study_from_bids(tree).scans}
    assert found["sub-2", "run-1"] == ("part2", 0)
    assert found["sub-1", "run-1"] == ("part1", -4)


def test_onsets_that_differ_by_milliseconds_are_one_clock(tree):
    scan(tree, "sub-3_task-film_run-1")
    scan(tree, "sub-3_task-film_run-2")
    for person, onset in (("1", "4.016"), ("2", "4.001"), ("3", "3.9")):
        events(tree, f"sub-{person}_task-film_run-1", [(onset, "9", "stim-part1_audiovideo.mp4")], f"sub-{person}/func")
    study = study_from_bids(tree)
    assert {s.offset_s for s in study.scans if s.run == "run-1"} == {Fraction("-4.001")}
    assert {s.offset_s for s in study.scans if s.run == "run-2"} == {-4}
    assert "onsets of 3 people differ by up to 0.116 s; taken as one, their median" in study.notes
    assert [(r.name, len(r.scans)) for r in presentations(study, {})] == [("run-1", 3), ("run-2", 3)]
    events(tree, "sub-2_task-film_run-1", [("4.3", "9", "stim-part1_audiovideo.mp4")], "sub-2/func")
    apart = study_from_bids(tree)  # more than 0.1 TR, 0.2 s, is another clock
    assert {s.subject: s.offset_s for s in apart.scans if s.run == "run-1"} == {
        "sub-1": Fraction("-3.958"),
        "sub-2": Fraction("-4.3"),
        "sub-3": Fraction("-3.958"),
    }
    assert not any("onsets" in note for note in study_from_bids(tree, exclude=["1"]).notes)


def test_flags_name_stimuli_instead(tree):
    films = [tree / "stimuli" / f"stim-part{k}_audiovideo.mp4" for k in (1, 2)]
    study = study_from_bids(tree, film=films[0], offset_s="1.5")
    assert {(s.stimulus, s.offset_s) for s in study.scans} == {("stim-part1_audiovideo", Fraction(3, 2))}
    assert {s.offset_s for s in study_from_bids(tree, offset_s=[0, 3]).scans} == {0, 3}
    both = study_from_bids(tree, film=films)
    assert [s.stimulus for s in both.scans] == ["stim-part1_audiovideo", "stim-part2_audiovideo"] * 2


def test_runs_are_in_the_order_of_their_numbers(tmp_path):
    for run in ("10", "2"):
        scan(tmp_path, f"sub-1_task-film_run-{run}")
    films = [tmp_path / "first.wav", tmp_path / "second.wav"]
    for film in films:
        film.write_bytes(b"")
    shown = {"run-2": ("first", 1), "run-10": ("second", 5)}
    study = study_from_bids(tmp_path, film=films, offset_s=[1, 5])
    assert {s.run: (s.stimulus, s.offset_s) for s in study.scans} == shown
    assert [s.run for s in study.scans] == ["run-2", "run-10"]
    assert study.runs == ("run-2", "run-10")
    assert Study("s", tmp_path, (), study.scans[::-1]).runs == ("run-2", "run-10")
    bold = tmp_path / PREP / "sub-1/func/*_bold.nii.gz"
    study = study_from_files(film=films, bold=bold, offset_s=[1, 5])
    assert {s.run: (s.stimulus, s.offset_s) for s in study.scans} == shown
    assert [p.name for p in expand([str(bold)], "bold")] == [s.bold.name for s in study.scans]
    assert [s.run for s in study.scans] == ["run-2", "run-10"]


def test_sessions_are_runs_of_one_person(tmp_path):
    for ses in ("a", "b"):
        scan(tmp_path, f"sub-1_ses-{ses}_task-rest", folder=f"sub-1/ses-{ses}")
    (tmp_path / "f.wav").write_bytes(b"")
    study = study_from_bids(tmp_path, film=tmp_path / "f.wav")
    assert [(s.subject, s.run) for s in study.scans] == [("sub-1", "ses-a"), ("sub-1", "ses-b")]


def test_spaces_and_resolutions_are_chosen_by_fmriprep_s_names(tree):
    for person in ("1", "2"):
        for run in ("1", "2"):
            scan(tree, f"sub-{person}_task-film_run-{run}", f"space-{MNI}_res-2")
            scan(tree, f"sub-{person}_task-film_run-{run}", "")
    with pytest.raises(ConfigError, match=rf"--space: {MNI} \(4 files\), {MNI}:res-2 \(4 files\), func \(4 files\)"):
        study_from_bids(tree)
    chosen = study_from_bids(tree, space=f"{MNI}:res-2").scans[0]
    assert "_res-2_" in chosen.bold.name
    assert "_res-2_" in chosen.mask.name
    assert "space-" not in study_from_bids(tree, space="func").scans[0].bold.name
    exact = study_from_bids(tree, space=MNI).scans[0]  # though the name also begins that of a resolution
    assert exact.bold.name == f"sub-1_task-film_run-1_space-{MNI}_desc-preproc_bold.nii.gz"
    with pytest.raises(ConfigError, match="no scan is in the space 'T1w'; choose one"):
        study_from_bids(tree, space="T1w")


def test_people_without_the_space_or_the_task_are_named(tree):
    scan(tree, "sub-3_task-film_run-1", "space-T1w")
    with pytest.raises(DataError, match=f"sub-3_task-film_run-1 is not in the space {MNI}; make fMRIPrep write it"):
        study_from_bids(tree, space=MNI)
    assert study_from_bids(tree, exclude="3").subjects == ("sub-1", "sub-2")
    scan(tree, "sub-4_task-rest")
    assert "sub-4 has no scan of task film" in study_from_bids(tree, "film", exclude="3").notes


def gifti(path, n=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(0).standard_normal((VOLUMES, n)).astype(np.float32)
    nib.save(
        nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(r, intent="NIFTI_INTENT_TIME_SERIES") for r in rows]), path
    )


def test_surfaces_come_as_pairs_of_hemispheres(tree):
    for person in ("1", "2"):
        for run in ("1", "2"):
            for hemi in "LR":
                stem = f"sub-{person}_task-film_run-{run}_hemi-{hemi}_space-fsaverage5_bold"
                gifti(tree / PREP / f"sub-{person}/func/{stem}.func.gii")
                (tree / PREP / f"sub-{person}/func/{stem}.json").write_text('{"RepetitionTime": 2.0}')
    study = study_from_bids(tree, space="fsaverage5")
    assert len(study.scans) == 4
    for s in study.scans:
        assert s.files.right.name == s.bold.name.replace("hemi-L", "hemi-R")
        assert s.files.confounds is not None
        assert (s.n_volumes, s.tr_s) == (VOLUMES, 2)


def test_only_functional_folders_are_listed(tree, monkeypatch):
    for person in ("1", "2"):
        for folder in ("anat", "figures", "log/2026"):
            (tree / PREP / f"sub-{person}" / folder).mkdir(parents=True)
    listed = []
    plain = os.scandir
    monkeypatch.setattr(bids_tree.os, "scandir", lambda path: listed.append(path) or plain(path))
    assert len(bids_tree.tree_of(tree / PREP).images) == 4
    assert len(listed) == 1 + 2 * 2  # the derivatives; each person and their func


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        (DataError, lambda r: drop(r, "*brain_mask*"), "sub-2 run-1, sub-2 run-2 are without desc-brain_mask.nii.gz"),
        (
            DataError,
            lambda r: drop(r, "*confounds*"),
            "sub-2 run-2 are without desc-confounds_timeseries.tsv.*--exclude sub-2",
        ),
        (
            DataError,
            lambda r: scan(r, "sub-2_task-film_run-1", sidecar={"RepetitionTime": 1.5}),
            "subject sub-2: .*2 s in its header and of 1.5 s",
        ),
        (DataError, lambda r: truncate(r), "subject sub-2: .*cannot be read as a NIfTI image.*--exclude sub-2"),
        (
            DataError,
            lambda r: (r / "task-film_run-2_events.tsv").unlink(),
            "sub-1_task-film_run-2, sub-2_task-film_run-2 are without events.tsv",
        ),
        (
            DataError,
            lambda r: (r / "stimuli/stim-part2_audiovideo.mp4").unlink(),
            "names the stimulus .*part2.*not there",
        ),
        (
            DataError,
            lambda r: events(r, "task-film_run-2", [("soon", "1", "stim-part2_audiovideo.mp4")]),
            "the onset 'soon' is no number",
        ),
        (
            ConfigError,
            lambda r: events(r, "task-film_run-2", [("0", "1", "face.png")]),
            "names no film or sound in stim_file; give --film",
        ),
        (
            ConfigError,
            lambda r: events(r, "task-film_run-2", [("0", "1", "a.mp4"), ("9", "1", "b.mp4")]),
            "2 presentations of a.mp4, b.mp4",
        ),
        (ConfigError, lambda r: scan(r, "sub-1_task-rest"), "has the tasks film, rest; choose one with --task"),
        (
            ConfigError,
            lambda r: (r / "derivatives/fmriprep-old").mkdir(),
            "holds fmriprep, fmriprep-old; name the folder",
        ),
        (ConfigError, lambda r: scan(r, "sub-1_task-film_run-1_part-mag"), "are both sub-1 run-1"),
    ],
)
def test_what_people_get_wrong(tree, kind, change, words):
    change(tree)
    with pytest.raises(kind, match=words) as error:
        study_from_bids(tree)
    assert "\n" not in str(error.value)


def drop(root, pattern):
    for path in (root / PREP / "sub-2/func").glob(pattern):
        path.unlink()


def truncate(root):
    path = root / PREP / f"sub-2/func/sub-2_task-film_run-1_space-{MNI}_desc-preproc_bold.nii.gz"
    path.write_bytes(path.read_bytes()[:100])


def test_empty_trees_tasks_and_folders_that_are_not_there(tree, tmp_path):
    with pytest.raises(ConfigError, match="has no scan of task 'flim'; did you mean 'film'"):
        study_from_bids(tree, "flim")
    with pytest.raises(DataError, match="there is no folder"):
        study_from_bids(tmp_path / "none")
    (tmp_path / "empty" / "sub-1" / "func").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no scan of fMRIPrep: there is no sub-"):
        study_from_bids(tmp_path / "empty")


def test_people_who_are_excluded_may_lack_anything(tree):
    truncate(tree)
    drop(tree, "*brain_mask*")
    assert study_from_bids(tree, exclude="sub-2").subjects == ("sub-1",)
    assert len(study_from_bids(tree, exclude=["2", "sub-1/run-2"]).scans) == 1
    with pytest.raises(ConfigError, match="--exclude 'sub-9' is no subject"):
        study_from_bids(tree, exclude=["2", "sub-9"])
    with pytest.raises(ConfigError, match="--exclude leaves no scan"):
        study_from_bids(tree, exclude=["1", "2"])


def test_derivatives_without_masks_or_confounds_say_so(tmp_path):
    scan(tmp_path, "sub-1_task-film", beside=())
    (tmp_path / "f.wav").write_bytes(b"")
    study = study_from_bids(tmp_path, film=tmp_path / "f.wav")
    assert study.scans[0].mask is None
    assert any("no brain masks: the mask is learned" in n for n in study.notes)
    assert any("no confounds: only drift is taken out" in n for n in study.notes)


def test_files_and_people_that_are_passed_over_are_named(tree):
    assert not any("passed over" in note or "without" in note for note in study_from_bids(tree).notes)
    odd = f"sub-2_task-my-film_space-{MNI}_desc-preproc_bold.nii.gz"
    image(tree / PREP / "sub-2/func" / odd)
    (tree / PREP / "sub-3" / "anat").mkdir(parents=True)
    notes = study_from_bids(tree).notes
    assert any(note.startswith(f"{odd} is passed over: no sub-NAME or no task-NAME") for note in notes)
    assert "sub-3 is without a preprocessed scan in func" in notes
    image(tree / "other" / "sub-9" / "func" / odd)
    with pytest.raises(DataError, match=f"holds no scan of fMRIPrep: .*; {odd} is passed over"):
        study_from_bids(tree / "other")


def test_masks_are_found_compressed_or_not(tree):
    for packed in (tree / PREP / "sub-2/func").glob("*brain_mask.nii.gz"):
        nib.save(nib.load(packed), packed.with_suffix(""))
        packed.unlink()
    masks = {s.subject: s.mask.suffix for s in study_from_bids(tree).scans}
    assert masks == {"sub-1": ".gz", "sub-2": ".nii"}


def test_the_atlas_beside_the_subjects(tree):
    image(tree / PREP / f"tpl-{MNI}_atlas-A_dseg.nii.gz", (3, 3, 2))
    (tree / PREP / f"tpl-{MNI}_atlas-A_dseg.tsv").write_text("index\tname\n1\ta\n")
    image(tree / PREP / "tpl-fsLR_atlas-B_dseg.nii.gz", (3, 3, 2))
    study = study_from_bids(tree)
    assert study.atlas == tree / PREP / f"tpl-{MNI}_atlas-A_dseg.nii.gz"
    assert study.labels == tree / PREP / f"tpl-{MNI}_atlas-A_dseg.tsv"
    image(tree / PREP / f"space-{MNI}_atlas-C_dseg.nii.gz", (3, 3, 2))
    several = study_from_bids(tree)
    assert several.atlas is None
    assert any("several atlases" in n for n in several.notes)


def test_several_annotations_are_a_question(tmp_path):
    for name in ("stim-a_audiovideo.mp4", "stim-a_annot-x_events.tsv", "stim-a_annot-y_events.tsv"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match="has several annotations"):
        annotations_of(tmp_path / "stim-a_audiovideo.mp4")
    assert annotations_of(tmp_path / "plain.mp4") is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--task", "film"], "--task chooses scans of a BIDS data set"),
        (["--bids", "x", "--bold", "y"], "--bold and --bids both say where scans come from"),
        (["--transposed"], "--transposed is of the tables of --bold"),
        (["--bids", "nowhere"], "there is no folder "),
    ],
)
def test_flags_that_do_not_go_together(capsys, args, words):
    with pytest.raises(SystemExit) as stop:
        main(["run", *args])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
