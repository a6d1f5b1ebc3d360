"""The verbs in Python: light to import, documented, the same as the command line, and refused in one line."""

import inspect
import json
import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import giblet
import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.api import progress as progress_module
from giblet.api.ablation import variants_of
from giblet.api.choice import chosen_plugins, default_of
from giblet.api.progress import progress_bars, words_of
from giblet.api.request import Request
from giblet.cli import main
from giblet.data.written import read_arrays
from giblet.errors import ConfigError, DataError, GibletError, PluginError
from giblet.pipeline.lesion import Options
from giblet.pipeline.lesion_target import Wanted
from giblet.pipeline.overwriting import WRITTEN
from giblet.pipeline.results import require_own, results_folder
from giblet.types import TEMPORAL_MODULES, positive_seconds, seconds

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/reference/python.md").read_text("utf-8")
HEAVY = ("torch", "numpy", "pydantic", "av", "pluggy", "rich", "pandas", "nibabel", "giblet.pipeline", "giblet.data")
RESULTS = (giblet.Run, giblet.Extracted, giblet.Prediction, giblet.Decoding, giblet.Lesion, giblet.Ablated)


# What a reader finds


def test_import_is_light():
    code = f"import giblet, sys; dir(giblet); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_on_the_page():
    for name in giblet.__all__:
        assert getattr(giblet, name).__doc__, name
        assert f"`{name}`" in PAGE or f"`{name}(" in PAGE, f"docs/reference/python.md does not name {name}"
    assert set(giblet.__all__) <= set(dir(giblet))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        vars(giblet)["__getattr__"]("fitt")


@pytest.mark.parametrize("name", [n for n in giblet.__all__ if inspect.isfunction(getattr(giblet, n))])
def test_every_argument_of_a_verb_is_on_the_page(name):
    said = PAGE.split(f"`{name}(")[1].split(")`")[0]
    assert [p.strip("* ") for p in said.split(",") if p.strip() not in ("", "*")] == list(
        inspect.signature(getattr(giblet, name)).parameters
    )


@pytest.mark.parametrize("cls", RESULTS, ids=lambda c: c.__name__)
def test_every_public_member_of_a_result_is_documented(cls):
    fields = set(getattr(cls, "__dataclass_fields__", ()))
    members = [
        n
        for n in {*(n for c in cls.__mro__ if c.__module__.startswith("giblet") for n in vars(c)), *fields}
        if not n.startswith("_")
    ]
    assert members
    for name in members:
        assert f"`{name}`" in PAGE or f"`{name}(" in PAGE, f"docs/reference/python.md does not name {cls}.{name}"
        assert name in fields or inspect.getdoc(getattr(cls, name)), name


@pytest.mark.slow
def test_types_are_strict_for_a_user(tmp_path):
    code = """
        import giblet
        import numpy as np
        from numpy.typing import NDArray

        study: giblet.Study = giblet.load_study("study.toml", exclude=["sub-01"])
        run: giblet.Run = giblet.fit(study, out="out/run", settings={"train.lr": 1e-3}, video="s3d", audio="none")
        made = run.predict("film.mp4", trs=10)
        scan: NDArray[np.float32] = made.scans["average"]
        lost: giblet.Lesion = run.lesion(["visual"], how="zero")
        values = run.decode("scan.nii", seconds=2).features("video").values
        names: list[str] = [p.name for p in giblet.list_plugins()]
    """
    (tmp_path / "user.py").write_text(textwrap.dedent(code) + "giblet.fit(study, seed='x')\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(lines) == 1, done.stdout
    assert '"seed"' in lines[0]


# Names


def test_plugins_are_completed_and_the_default_is_one_that_is_there():
    chosen = chosen_plugins({"video": "2dcnn", "audio": "none", "text": "text_bge"})
    assert chosen == {"video": "video_2dcnn", "audio": "none", "text": "text_bge", "fmri": "fmri_mask"} | {
        k: v for k, v in chosen.items() if k not in ("video", "audio", "text", "fmri")
    }
    assert (default_of("audio", ["encodec", "mel"]), default_of("audio", ["encodec"]), default_of("eeg", ["x"])) == (
        "mel",
        "none",
        "none",
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"vidio": "s3d"}, ConfigError, "the kind 'vidio'; did you mean 'video'?"),
        ({"video": "s4d"}, PluginError, "no plugin 'video_s4d'; did you mean 'video_s3d'?"),
        ({"settings": {"train.trunk_step": 3}}, ConfigError, "did you mean 'trunk_steps'?"),
        ({"settings": {"trian.lr": 3}}, ConfigError, "no section 'trian'; did you mean 'train'?"),
        ({"settings": {"lr": 3}}, ConfigError, "setting 'lr' is not SECTION.KEY"),
        ({"settings": {"model.preset": "compat"}}, ConfigError, "did you mean 'compact'?"),
        ({"settings": {"video.temporal": "meen"}}, ConfigError, "did you mean 'mean'?"),
        ({"settings": {"audio.n_mel": 3}}, ConfigError, "did you mean 'n_mels'?"),
        ({"folds": 0}, ConfigError, "split.folds = 0 is not possible"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_file_is_read(tmp_path, monkeypatch, arguments, kind, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as error:
        giblet.fit("gone/study.toml", **arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"modules": ["meen"]}, "no temporal module 'meen'; did you mean 'mean'?"),
        ({"vary": {"trian.lr": [1, 2]}}, "did you mean 'train'?"),
        ({"vary": {"train.lr": []}}, "at least one"),
        ({"vary": {"train.lr": [1e-3, 1e-3]}}, "each value once"),
        ({"modules": "meen"}, "no temporal module 'meen'; did you mean 'mean'?"),
        ({"vary": {"model.preset": "convv"}}, "model.preset = 'convv' is not possible: did you mean 'conv'?"),
        ({"seeds": 0}, "seeds = 0 trains nothing; give at least 1"),
    ],
)
def test_an_ablation_that_cannot_be_meant(arguments, said):
    with pytest.raises(ConfigError) as error:
        giblet.ablate("gone", **arguments)
    assert said in str(error.value)


def test_a_text_is_one_name_and_a_number_one_value():
    request = Request.of({})
    assert variants_of(request, "mean", None) == [{"temporal": "mean"}]
    assert variants_of(request, None, {"model.preset": "conv"}) == [{"model.preset": "conv"}]
    assert variants_of(request, None, {"train.lr": 0.1}) == [{"train.lr": 0.1}]
    assert variants_of(request, None, {"train.weights": {"video": 2}}) == [{"train.weights": {"video": 2}}]
    assert [v["temporal"] for v in variants_of(request, None, None)] == list(TEMPORAL_MODULES)


@pytest.mark.parametrize("value", ["nan", float("inf"), "soon", "1/0", None])
def test_what_is_no_time_is_one_line(value):
    with pytest.raises(DataError, match="is not a time in seconds; give a finite number such as"):
        seconds(value)


@pytest.mark.parametrize("value", [0, -1, "-0.5"])
def test_a_length_of_time_is_positive(value):
    with pytest.raises(DataError, match=r"a TR of .* s is not positive; give a time above 0"):
        positive_seconds(value, "a TR")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"how": "foo"}, "how = 'foo' is not possible; there are: resample, zero, mean"),
        ({"strength": 7}, "strength = 7 is not possible; give the share that is ablated, 0 to 1"),
        ({"strength": float("nan")}, "strength = nan is not possible"),
        ({"random": -1}, "random = -1 is not possible; give a whole number, at least 0"),
        ({"draws": 0}, "draws = 0 is not possible; give a whole number, at least 1"),
        ({"draws": 1.5}, "draws = 1.5 is not possible"),
    ],
)
def test_a_lesion_that_cannot_be_meant(options, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        Options(**options)


@pytest.mark.parametrize("sphere", [(1.0, 2.0, 3.0), (1.0, 2.0, 3.0, float("nan"))])
def test_a_sphere_has_four_finite_numbers(sphere):
    with pytest.raises(ConfigError, match=r"is not \(x, y, z, radius\) in mm"):
        Wanted(sphere=sphere)


@pytest.mark.parametrize("verb", [giblet.open_run, giblet.load_study, giblet.extract, giblet.fit, giblet.ablate])
def test_nothing_is_found_where_nothing_is(tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GibletError, match="gone"):
        verb("gone")
    assert list(tmp_path.iterdir()) == []


def test_list_plugins_tells_what_each_can_do():
    found = {p.name: p for p in giblet.list_plugins()}
    assert found["audio_mel"].abilities == ["encode", "decode", "reconstruct"]
    assert (found["fmri_mask"].role, found["fmri_mask"].error) == ("brain", None)
    assert "n_mels" in found["audio_mel"].settings


# Progress


def test_stages_have_a_users_words():
    assert words_of("front-end video") == "learn video"
    assert (words_of("trunk"), words_of("trunk 2")) == ("film to scans", "film to scans 2")
    assert words_of("explained variance") == "explained variance"


def test_bars_are_silent_in_a_pipe_and_where_quiet_is_asked_for(capsys, monkeypatch):
    with progress_bars(quiet=False) as progress:
        progress("trunk", 1, 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bars(quiet=True) as progress:
        progress("trunk", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_bars_show_stages_and_begin_again_for_another_fold(capsys, monkeypatch):
    monkeypatch.setattr(progress_module, "shows_progress", lambda: True)
    with progress_bars(quiet=False) as progress:
        for _ in "ab":
            for done in range(3):
                progress("trunk", done, 2)
    said = capsys.readouterr().err
    assert said.count("film to scans") == 1
    assert "2/2" in said


# A study


def write_study(folder: Path, people: int = 2) -> Path:
    """Two columns of features drive eight parcels of each person."""
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((320, 2))
    np.save(folder / "motion.npy", motion)
    response = convolve_hrf(motion, canonical_hrf(1.5)) @ rng.standard_normal((2, 8))
    for i in range(people):
        np.savetxt(folder / f"sub-{i}_bold.tsv", response + 0.5 * rng.standard_normal((320, 8)), delimiter="\t")
    rows = [f"{i}\tparcel {i}\t{'front' if i < 5 else 'back'}" for i in range(1, 9)]
    (folder / "parcels.tsv").write_text("\n".join(["index\tname\tnetwork", *rows]))
    scans = [
        f'[[scan]]\nsubject = "sub-{i}"\nrun = "run-1"\nstimulus = "film"\nbold = "sub-{i}_bold.tsv"\n'
        for i in range(people)
    ]
    head = '[study]\nname = "small"\ntr_s = 1.5\nlabels = "parcels.tsv"\n\n[[stimulus]]\nname = "film"\n'
    (folder / "study.toml").write_text("\n".join([head + 'features = {motion = "motion.npy"}\n', *scans]))
    return folder / "study.toml"


@pytest.fixture
def small(tmp_path):
    return write_study(tmp_path)


def test_files_and_a_study_file_say_the_same(small, monkeypatch):
    monkeypatch.chdir(small.parent)
    told = giblet.load_study(small.parent)
    found = giblet.study_from_files(features={"motion": "motion.npy"}, bold="sub-*_bold.tsv", tr_s="1.5")
    assert (found.subjects, found.runs, found.tr_s) == (told.subjects, told.runs, told.tr_s)
    assert giblet.load_study(str(small), exclude=["sub-0"]).subjects == ("sub-1",)
    assert giblet.load_study(str(small), exclude="sub-0").subjects == ("sub-1",)
    with pytest.raises(ConfigError, match="--exclude 'sub-2' is no subject; did you mean 'sub-"):
        giblet.load_study(small, exclude=["sub-2"])


def test_extract_gives_arrays_with_their_clock(small, caplog):
    caplog.set_level(logging.WARNING, "giblet")
    found = giblet.extract(small)
    aligned = found["run-1"]["motion"]
    np.testing.assert_array_equal(aligned.features.values, np.load(small.parent / "motion.npy").astype(np.float32))
    assert (list(found), len(found), aligned.grid.n_trs) == (["run-1"], 1, 320)
    assert repr(found) == "<Extracted small: motion of run-1>"
    assert "<td>features_table</td>" in found._repr_html_()
    assert any("no slice times" in note for note in found.notes)
    assert caplog.messages == found.notes
    with pytest.raises(KeyError, match="there are: run-1"):
        found["run-2"]


def test_extract_saves_the_beginning_of_a_run_and_nothing_over_others(small, tmp_path):
    found = giblet.extract(small)
    assert found.save(tmp_path / "out") == tmp_path / "out"
    assert json.loads((tmp_path / "out" / "inputs.json").read_text())["streams"] == found.streams
    with pytest.raises(ConfigError, match="is not empty"):
        found.save(tmp_path)


def test_a_study_without_scans_cannot_be_fitted(small, tmp_path):
    alone = giblet.study_from_files(features={"motion": small.parent / "motion.npy"}, tr_s=1.5)
    with pytest.raises(ConfigError, match="has no scans; give --bold"):
        giblet.fit(alone, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_demo_that_is_there_is_opened_but_not_one_of_another_seed(small):
    (small.parent / "truth.json").write_text(json.dumps({"seed": 3, "null": False, "shifted_s": 0.0}))
    assert giblet.demo_study(small.parent, seed=3).name == "small"
    with pytest.raises(ConfigError, match="holds a demo study with seed 3, not 4; name another folder"):
        giblet.demo_study(small.parent, seed=4)
    with pytest.raises(ConfigError, match="holds a demo study with films 2, not 3; name another folder"):
        giblet.demo_study(small.parent, seed=3, films=3)


@pytest.mark.parametrize("shifted_s", [float("nan"), float("inf"), 1e4])
def test_a_demo_of_no_shift_is_not_made(tmp_path, shifted_s):
    with pytest.raises(DataError, match=r"is not a time|longer than a run"):
        giblet.demo_study(tmp_path / "demo", shifted_s=shifted_s)
    assert not (tmp_path / "demo").exists()


# The folder of results


def test_results_are_whole_or_not_there(tmp_path):
    out = tmp_path / "neue Ergebnisse"
    with pytest.raises(FileNotFoundError), results_folder(out, "told.json") as folder:
        (folder / "film.mp4").write_text((folder / "gone").read_text())
    assert not out.exists()
    (out / ".unfinished").mkdir(parents=True)  # of a command that was killed
    for content in ("first", "second"):
        with results_folder(out, "told.json") as folder:
            (folder / "video").mkdir()
            (folder / "video" / content).write_text(content)
            (folder / "told.json").write_text(content)
    held = [".written.json", "told.json", "video", "video/second"]
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*")) == held
    with pytest.raises(ValueError, match="x"), results_folder(out, "told.json") as folder:
        raise ValueError("x")
    assert (out / "told.json").read_text() == "second"
    (out / "told.json").unlink()
    with pytest.raises(ConfigError, match="is not empty"), results_folder(out, "told.json"):
        pass


def test_only_results_make_room_for_results(tmp_path):
    """What a person put into a folder of results is theirs, also where it stands among them."""
    out = tmp_path / "out"
    for names in (["video/film.mp4", "text/a.tsv", "audio/b.wav"], ["video/film.mp4", "picture.png"]):
        with results_folder(out, "told.json") as folder:
            for name in [*names, "told.json"]:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(str(names))
        for own in ("video/figure.png", "text/notes.txt"):
            (out / own).parent.mkdir(exist_ok=True)
            (out / own).write_text("mine")
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    own = {"video/figure.png", "text/notes.txt"}
    assert there == own | {".written.json", "told.json", "video/film.mp4", "picture.png"}
    assert {(out / name).read_text() for name in own} == {"mine"}
    assert not (out / "audio").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(GibletError, match=r"cannot write to .*; give another folder"):
        require_own(tmp_path / "file" / "deeper" / "out", "told.json")
    with pytest.raises(ConfigError, match="is a file"):
        require_own(tmp_path / "file", "told.json")
    require_own(tmp_path / "new" / "out", "told.json")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# A damaged run


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.json", "{}", "metrics.json has no summary, fmri; delete it and run again"),
        ("metrics.json", "[1]", "metrics.json must hold a JSON object"),
        ("metrics.json", '{"summary": "', "metrics.json is not JSON"),
    ],
)
def test_a_damaged_run_is_said_in_one_line(tmp_path, file, content, said):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / file).write_text(content)
    for use in (lambda run: run.metrics, lambda run: run.write_report()):
        with pytest.raises(DataError, match=re.escape(said)) as error:
            use(giblet.open_run(tmp_path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"torn", b"PK\x03\x04torn", None])
def test_a_torn_archive_is_said_in_one_line(tmp_path, content):
    np.savez(tmp_path / "whole.npz", x=np.arange(100))
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "maps.npz").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError, match=r"maps\.npz is damaged .*; delete it and run again"):
        read_arrays(tmp_path / "maps.npz")
    assert read_arrays(tmp_path / "whole.npz")["x"].sum() == 4950


# A run

QUICK = {"train.trunk_steps": 10, "train.decoder_steps": 4, "train.windows": 2, "model.latent": 16}
QUICK |= {"evaluate.null_shifts": 50, "evaluate.banded_candidates": 2, "evaluate.random_lesions": 0}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ein Lauf ü")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIBLET_CACHE", str(folder / "cache"))
        giblet.fit(write_study(folder), folder / "run", settings=QUICK)
    return folder / "run"


def shell(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    return said.out


@pytest.mark.slow
def test_a_run_has_its_figures_and_its_page(fitted):
    run = giblet.open_run(fitted)
    assert run.summary == run.metrics["summary"]
    assert run.report.stat().st_size > 10_000
    assert [p.name for p in fitted.iterdir() if not WRITTEN.fullmatch(p.name)] == []
    assert run.config.train.trunk_steps == 10
    assert (run.subjects, run.regions[:2], run.folds) == (["sub-0", "sub-1"], ["front", "back"], [])
    assert run.study.name == "small"
    assert repr(run) == f"<Run {fitted}: {run.summary}>"
    assert f"<td>{run.metrics['fmri']['r']:.3f}</td>" in run._repr_html_()
    assert "giblet.fit(small, out=" in run.metrics["command"]


@pytest.mark.slow
def test_the_command_line_goes_on_with_a_run_from_python(fitted, capsys):
    before = (fitted / "model" / "weights.safetensors").stat().st_mtime_ns
    settings = [word for name, value in QUICK.items() for word in ("-o", f"{name}={value}")]
    told = shell(capsys, "run", fitted.parent / "study.toml", "--out", fitted, *settings, "--json")
    assert json.loads(told) == giblet.open_run(fitted).metrics
    again = giblet.fit(fitted.parent / "study.toml", fitted, settings=QUICK, quiet=True)
    assert again.metrics == json.loads(told)
    assert (fitted / "model" / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="holds another run"):
        giblet.fit(fitted.parent / "study.toml", fitted, settings=QUICK, seed=1)


@pytest.mark.slow
def test_prediction_is_that_of_the_command_line(fitted, tmp_path, capsys):
    made = giblet.open_run(fitted).predict(features={"motion": fitted.parent / "motion.npy"}, trs=100)
    assert {s: y.shape for s, y in made.scans.items()} == dict.fromkeys(("sub-0", "sub-1", "average"), (100, 8))
    np.testing.assert_allclose(made.scans["average"], (made.scans["sub-0"] + made.scans["sub-1"]) / 2, atol=1e-6)
    assert (float(made.grid.tr_s), made.grid.n_trs, made.modalities, made.mask) == (1.5, 100, ["motion"], None)
    told = made.save(tmp_path / "python")
    features = f"motion={fitted.parent / 'motion.npy'}"
    said = shell(capsys, "predict", fitted, "--features", features, "--trs", 100, "--out", tmp_path / "shell", "--json")
    assert json.loads(said)["files"] == told["files"]
    for name in told["files"].values():
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "shell" / name).read_bytes()
    with pytest.raises(ConfigError, match="is not empty"):
        made.save(fitted)


@pytest.mark.slow
def test_lesions_read_the_data_once_and_are_those_of_the_command_line(fitted, tmp_path, capsys, monkeypatch):
    run = giblet.open_run(fitted)
    lesion = run.lesion(["front"], random=0)
    monkeypatch.setattr("giblet.pipeline.reopen.extract_study", None)
    assert run.lesion("back", random=0).name == "back"
    monkeypatch.undo()
    assert lesion.voxels.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    row = lesion.table.loc[("motion", "from_measured")]
    assert row["lesion"] - row["intact"] == pytest.approx(row["effect"])
    assert "<td>from_predicted</td>" in lesion._repr_html_()
    said = json.loads(
        shell(capsys, "lesion", fitted, "--region", "front", "--random", 0, "--out", tmp_path / "l", "--json")
    )
    assert said["modalities"] == json.loads(json.dumps(lesion.result["modalities"]))
    with pytest.raises(ConfigError, match=r"'fron' is not in the study's atlas; did you mean 'front'\?"):
        run.lesion(["fron"])


@pytest.mark.slow
def test_what_a_run_cannot_do_is_said(fitted, tmp_path):
    run = giblet.open_run(fitted)
    with pytest.raises(ConfigError, match=r"nothing that .* was trained on can be played"):
        run.decode(fitted.parent / "sub-0_bold.tsv")
    with pytest.raises(ConfigError, match="there is no stimulus"):
        run.predict()
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"2 films were given \(a, b\); give one at a time"):
        run.predict(tmp_path / "*.wav")
    for length_s in (0, -1, float("nan")):
        with pytest.raises(DataError, match=r"is not positive|is not a time"):
            run.decode(fitted.parent / "sub-0_bold.tsv", seconds=length_s)
    with pytest.raises(ConfigError, match="how = 'foo'"):
        run.lesion("front", how="foo")
    with pytest.raises(ConfigError, match=r"^film 'gone.mp4' matches no file"):
        run.predict("gone.mp4")
    (tmp_path / "run.json").write_text("{}")
    unfinished = giblet.open_run(tmp_path)
    assert "not finished" in repr(unfinished)
    assert "not finished" in unfinished._repr_html_()
    with pytest.raises(ConfigError, match="no finished run"):
        assert unfinished.metrics
