"""`--overwrite`: an old run goes when a new one has begun, and with it nothing that giblet did not write."""

import giblet
import numpy as np
import pytest
from giblet.cli import main
from giblet.errors import ConfigError, DataError, GibletError
from giblet.pipeline.overwriting import ASIDE, making_room

OLD = ("run.json", "metrics.json", "report.html", "model/weights.safetensors", "fold-1/run.json", "demo/truth.json")


@pytest.fixture
def old(tmp_path):
    """The folder of an old run."""
    folder = tmp_path / "out" / "alter Lauf"
    for name in OLD:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}" if name.endswith("json") else "old")
    return folder


@pytest.fixture
def motion(tmp_path):
    np.save(tmp_path / "motion.npy", np.ones((9, 2)))
    return tmp_path / "motion.npy"


def features(path, **more):
    return giblet.study_from_files(features={"motion": path}, tr_s=1.5, **more)


def held(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def command(capsys, *args):
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in args])
    return done.value.code, capsys.readouterr().err.splitlines()


def test_a_study_that_cannot_be_fitted_costs_no_old_run(old, motion):
    before = held(old)
    with pytest.raises(ConfigError, match="has no scans"):
        giblet.fit(features(motion), old, overwrite=True)
    assert held(old) == before


@pytest.mark.parametrize("args", [["--film", "text.mp4"], ["--film", "text.mp4", "--bold", "scan.npy"]])
def test_a_film_that_cannot_be_read_costs_no_old_run(old, tmp_path, monkeypatch, capsys, args):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("no film\n" * 40)
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).standard_normal((300, 4)))
    before = held(old)
    more = [] if "--bold" in args else ["--extract-only"]
    code, said = command(capsys, "run", *args, "--tr", "1.5", *more, "--out", old, "--overwrite")
    assert code == 2
    assert "text.mp4" in said[-1]
    assert held(old) == before


def test_a_stopped_command_costs_no_old_run(old, motion, monkeypatch, capsys):
    def stop(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("giblet.pipeline.prepare.extract_study", stop)
    before = held(old)
    args = ["run", "--features", f"motion={motion}", "--tr", "1.5", "--extract-only", "--out", old, "--overwrite"]
    code, said = command(capsys, *args)
    assert code == 130
    assert "without --overwrite" in said[-1]
    assert held(old) == before


def test_a_new_run_takes_the_place_of_the_old(old, motion, capsys):
    args = ["run", "--features", f"motion={motion}", "--tr", "1.5", "--extract-only", "--out", old, "--overwrite"]
    assert command(capsys, *args)[0] in (None, 0)
    assert sorted(held(old)) == ["config.json", "inputs.json", "run.json", "study.json"]
    assert not (old / ASIDE).exists()


def test_what_a_killed_command_put_aside_comes_back_if_the_next_one_fails(old, motion):
    before = held(old)
    room = making_room(old, None, {})
    room.__enter__()
    assert list(held(old)) == [f"{ASIDE}/{name}" for name in held(old / ASIDE)]
    with pytest.raises(ConfigError, match="has no scans"):
        giblet.fit(features(motion), old, overwrite=True)
    assert held(old) == before


def test_a_command_that_was_killed_while_it_put_things_aside_loses_nothing(old, motion):
    before = held(old)
    (old / ASIDE).mkdir()
    (old / "metrics.json").rename(old / ASIDE / "metrics.json")
    with pytest.raises(ConfigError, match="has no scans"):
        giblet.fit(features(motion), old, overwrite=True)
    assert held(old) == before


def test_a_link_to_a_folder_is_followed(old, motion, tmp_path, capsys):
    (tmp_path / "link").symlink_to(old)
    args = ["run", "--features", f"motion={motion}", "--tr", "1.5", "--extract-only", "--out", tmp_path / "link"]
    assert command(capsys, *args, "--overwrite")[0] in (None, 0)
    assert (tmp_path / "link").is_symlink()
    assert sorted(held(old)) == ["config.json", "inputs.json", "run.json", "study.json"]


# What is not the run's own


@pytest.mark.parametrize("place", ["my_notes.txt", "fold-1/notes.md", ".git/config"])
def test_a_users_files_are_not_thrown_away(old, motion, place):
    (old / place).parent.mkdir(exist_ok=True)
    (old / place).write_text("mine")
    before = held(old)
    with pytest.raises(ConfigError, match=r"holds .*(my_notes\.txt|notes\.md|\.git), which giblet did not write"):
        giblet.fit(features(motion), old, overwrite=True)
    assert held(old) == before


def test_a_folder_called_demo_that_is_none_is_a_users(old, motion):
    (old / "demo" / "truth.json").rename(old / "demo" / "thesis.txt")
    with pytest.raises(ConfigError, match="demo, which giblet did not write"):
        giblet.fit(features(motion), old, overwrite=True)


@pytest.mark.parametrize(
    "name", ["{0}/demo/motion.npy", "../out/alter Lauf/demo/motion.npy", "link.npy", "round/motion.npy"]
)
def test_files_of_the_study_are_found_however_they_are_named(old, motion, tmp_path, monkeypatch, name):
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    motion.rename(old / "demo" / "motion.npy")
    (tmp_path / "study" / "link.npy").symlink_to(old / "demo" / "motion.npy")
    (tmp_path / "study" / "round").symlink_to(old / "demo")
    before = held(old)
    with pytest.raises(ConfigError, match=r"holds files of the study \(motion\.npy\)"):
        giblet.fit(features(name.format(old)), old, overwrite=True)
    assert held(old) == before


def test_a_link_within_the_run_is_the_studys_too(old, motion):
    (old / "demo" / "link.npy").symlink_to(motion)
    with pytest.raises(ConfigError, match=r"holds files of the study \(link\.npy\)"):
        giblet.fit(features(old / "demo" / "link.npy"), old, overwrite=True)


def test_the_study_file_its_truth_and_files_that_settings_name_are_kept(old, tmp_path, motion):
    text = (
        '[study]\nname = "s"\ntr_s = 1.5\ntruth = "TRUTH"\n\n[[stimulus]]\nname = "f"\nfeatures = {motion = "MOTION"}\n'
    )
    text = text.replace("MOTION", str(motion))
    (old / "demo" / "study.toml").write_text(text.replace("TRUTH", str(motion)))
    with pytest.raises(ConfigError, match=r"holds files of the study \(study\.toml\)"):
        giblet.fit(old / "demo", old, overwrite=True)
    (old / "demo" / "study.toml").unlink()
    (tmp_path / "study.toml").write_text(text.replace("TRUTH", str(old / "demo" / "truth.json")))
    with pytest.raises(ConfigError, match=r"holds files of the study \(truth\.json\)"):
        giblet.fit(tmp_path, old, overwrite=True)
    (old / "demo" / "mask.nii").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds files of the study \(mask\.nii\)"):
        giblet.fit(features(motion), old, overwrite=True, settings={"fmri.mask": str(old / "demo" / "mask.nii")})


def test_what_is_no_run_is_left_alone(tmp_path, motion):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    for kind in (GibletError, DataError, ConfigError):
        with pytest.raises(GibletError), making_room(tmp_path / "mine", None, {}):
            raise kind("x")
    assert held(tmp_path / "mine") == {"thesis.txt": b"mine"}
