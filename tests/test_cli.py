"""The command line: quick help, one line for what is wrong, the right exit code."""

import json
import os
import subprocess
import sys
import textwrap
from functools import partial

import click
import numpy as np
import pytest
from giblet.api.choice import default_of
from giblet.cli import main
from giblet.cli.main import COMMANDS, cli

HEAVY = ("torch", "numpy", "pydantic", "av", "pluggy", "rich", "pandas", "nibabel")
BLOB = "not a film at all\n" * 10


@pytest.fixture
def giblet(tmp_path):
    """Run the command line in an empty folder, as a user does."""
    env = os.environ | {"GIBLET_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "2", "COLUMNS": "120"}

    def call(*args, code=None):
        program = ["-c", textwrap.dedent(code)] if code else ["-m", "giblet"]
        return subprocess.run(
            [sys.executable, *program, *map(str, args)], capture_output=True, text=True, env=env, cwd=tmp_path
        )

    return call


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The same within this process, which has imported torch already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path / "cache"))

    def call(*args):
        with pytest.raises(SystemExit) as done:
            main([str(a) for a in args])
        streams = capsys.readouterr()
        return subprocess.CompletedProcess(args, done.value.code, streams.out, streams.err)

    return call


def refused(done, *said, lines=1):
    """One line on stderr beginning with giblet:, an exit code of its own, no traceback; the line."""
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == lines, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("giblet: ")
    for text in said:
        assert text in line
    return line


IMPORTED = """
    import sys
    from giblet.cli import main
    try:
        main(sys.argv[1:])
    except SystemExit as done:
        found = [m for m in {heavy} if m in sys.modules]
        print("imported", found, done.code)
"""


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["no-such-command"]])
def test_help_imports_nothing_heavy(giblet, args):
    done = giblet(*args, code=IMPORTED.format(heavy=HEAVY))
    assert done.stdout.splitlines()[-1] == f"imported [] {2 if args == ['no-such-command'] else 0}"


def test_plugins_imports_no_torch(giblet):
    heavy = ("torch", "av", "transformers", "librosa", "nilearn", "nibabel", "pandas", "scipy", "soundfile")
    done = giblet("plugins", code=IMPORTED.format(heavy=heavy))
    assert done.stdout.splitlines()[-1] == "imported [] None"


def test_help_names_every_command_and_debug(giblet):
    done = giblet("--help")
    assert done.returncode == 0
    for word in ("run", "demo", "plugins", "report", "completion", "--debug", "--version"):
        assert f"  {word} " in done.stdout
    assert giblet("--version").stdout.startswith("giblet, version ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(here, command):
    done = here(command, "--help")
    assert not done.returncode
    assert done.stdout.startswith("Usage: ")


FIGURES = ("run", "extract", "predict", "decode", "lesion", "ablate", "plugins", "check-plugin")
LONG = ("run", "extract", "predict", "decode", "lesion", "ablate", "demo")


def test_what_prints_figures_prints_json_and_what_takes_long_can_be_quiet():
    context = click.Context(cli)
    options = {name: {o for p in cli.get_command(context, name).params for o in p.opts} for name in COMMANDS}
    assert [name for name in FIGURES if "--json" not in options[name]] == []
    assert [name for name in LONG if "--quiet" not in options[name]] == []


def test_help_says_the_default_that_will_be_used(here, monkeypatch):
    assert "encodec, mel or none; default mel." in " ".join(here("run", "--help").stdout.split())
    assert default_of("audio", ["encodec"]) == "none"


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(here, shell):
    said = here("completion", shell).stdout
    assert "_GIBLET_COMPLETE=" + shell + "_complete" in said
    assert "giblet" in said


def test_help_on_completion_has_a_line_a_shell(here):
    lines = [" ".join(line.split()) for line in here("completion", "--help").stdout.splitlines()]
    assert "bash: giblet completion bash >> ~/.bashrc" in lines
    assert "fish: giblet completion fish > ~/.config/fish/completions/giblet.fish" in lines


def completed(monkeypatch, capsys, line):
    """What bash is offered for the last word of a line."""
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    monkeypatch.setenv("_GIBLET_COMPLETE", "bash_complete")
    monkeypatch.setattr(sys, "argv", ["giblet"])
    with pytest.raises(SystemExit):
        main()
    return [row.partition(",")[2] for row in capsys.readouterr().out.splitlines() if row]


def test_names_are_completed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "out" / "first"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "atlas.tsv").write_text("index\tname\tnetwork\n1\tV1\tvisual\n2\tV2\tvisual\n3\tA1\tauditory\n")
    scans = [{"subject": "anna"}, {"subject": "anna"}, {"subject": "bö"}]
    (run / "study.json").write_text(json.dumps({"labels": "atlas.tsv", "scans": scans}))
    offered = partial(completed, monkeypatch, capsys)
    assert offered("giblet pre") == ["predict"]
    assert offered("giblet run --video 2") == ["2dcnn"]
    assert offered("giblet ablate --audio n") == ["none"]
    assert offered("giblet lesion ") == ["out/first"]
    assert offered("giblet lesion out/first --region V") == ["V1", "V2"]
    assert offered("giblet lesion out/first --network ") == ["visual", "auditory"]
    assert offered("giblet decode out/first scan.nii --subject ") == ["anna", "bö"]
    assert offered("giblet run -o train.trunk_s") == ["train.trunk_steps=null"]
    assert offered("giblet run -o audio.n_m") == ["audio.n_mels=80"]
    assert offered("giblet lesion gone --region ") == []
    (run / "atlas.tsv").unlink()
    assert offered("giblet lesion out/first --region ") == []


def test_plugins_as_json(giblet):
    rows = json.loads(giblet("plugins", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert set(rows[0]) >= {"name", "kind", "role", "distribution", "version", "abilities", "error"}
    assert set(by_name) >= {"audio_mel", "audio_encodec", "video_2dcnn", "video_s3d", "text_bge", "fmri_mask"}
    assert all(row["error"] is None for row in rows)
    assert all(row["kind"] == row["name"].partition("_")[0] for row in rows)
    assert by_name["fmri_mask"]["role"] == "brain"
    assert by_name["audio_mel"]["distribution"] == "giblet-audio-mel"
    assert by_name["audio_mel"]["abilities"] == ["encode", "decode", "reconstruct"]
    assert by_name["features_table"]["abilities"] == ["encode", "decode"]


def test_plugins_as_a_table(giblet):
    lines = giblet("plugins").stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "role", "distribution", "version", "can"]
    assert any(line.startswith("video_s3d ") for line in lines)


@pytest.fixture
def broken_plugin(tmp_path):
    """A third party's distribution with plugins that cannot be imported, on the path of the command line."""
    info = tmp_path / "giblet_broken-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: giblet-broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[giblet]\nvideo_broken = giblet_broken\nout_x = x\neye-tracker_x = x\n")
    (tmp_path / "giblet_broken.py").write_text("raise RuntimeError('boom')\n")


@pytest.mark.usefixtures("broken_plugin")
def test_a_broken_plugin_is_shown_and_the_others_listed(giblet):
    rows = {row["name"]: row for row in json.loads(giblet("plugins", "--json").stdout)}
    assert rows["video_broken"] == {
        "name": "video_broken",
        "kind": "video",
        "role": None,
        "distribution": "giblet-broken",
        "version": "2.0",
        "abilities": [],
        "settings": [],
        "error": "RuntimeError: boom",
    }
    assert rows["video_s3d"]["error"] is None
    assert giblet("run", "--help").returncode == 0
    assert giblet("run", "gone", "--out", "here").stderr.splitlines() == [
        "giblet: there is no study file gone; name a study.toml or its folder"
    ]
    done = giblet("plugins")
    assert done.returncode == 0
    assert "video_broken (giblet-broken 2.0) is broken: RuntimeError: boom" in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["plugin"], "no command 'plugin'; did you mean 'plugins'? there are: run, "),
        (["xyz"], "no command 'xyz'; there are: run"),
        (["plugins", "--jsn"], "--json"),
        (["report"], "Missing argument 'RUN'"),
        (["demo", "here", "--seed", "many"], "'many' is not a valid integer"),
        (["run", "--filmm", "x"], "--film"),
        (["lesion", "x", "--how", "zer"], "'zero'"),
        (["completion", "csh"], "'bash'"),
    ],
)
def test_what_is_no_command_is_a_usage_error(giblet, args, said):
    done = giblet(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("Usage: ")
    assert "Traceback" not in done.stderr


@pytest.fixture
def film(tmp_path):
    """A text file called .mp4, and an empty one."""
    (tmp_path / "text.mp4").write_text(BLOB)
    (tmp_path / "empty.mp4").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-o", "train.lr"], "-o 'train.lr' is not SECTION.KEY=VALUE"),
        (["-o", "trian.lr=3"], "no section 'trian'; did you mean 'train'?"),
        (["-o", "train.trunk_step=3", "--tr", "1"], "no setting train.trunk_step; did you mean 'trunk_steps'?"),
        (["-o", "train.lr=fast", "--tr", "1"], "train.lr = 'fast' is not possible"),
        (["-o", "video.height=3", "--tr", "1"], "video_s3d has no setting 'height'; did you mean 'height_px'?"),
        (
            ["-o", "model.preset=compat", "--tr", "1"],
            "model.preset = 'compat' is not possible: did you mean 'compact'?",
        ),
        (["-o", "video.temporal=meen", "--tr", "1"], "setting temporal = 'meen' is not possible: did you mean 'mean'?"),
        (["--video", "s4d", "--tr", "1"], "no plugin 'video_s4d'; did you mean 'video_s3d'?"),
        (["--tr", "soon"], "'soon' is not a time in seconds"),
        (["--tr", "-1"], "not positive"),
        (["--tr", "1", "--video", "none"], "no modality is left"),
    ],
)
def test_settings_that_cannot_be_meant(here, film, args, said):
    refused(here("run", "--film", "text.mp4", "--audio", "none", "--extract-only", *args), said)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--film", "gone.mp4"], "gone.mp4"),
        (["--film", "*.mkv"], "'*.mkv' matches no file; correct the path"),
        (["--film", "text.mp4"], "text.mp4"),
        (["--film", "empty.mp4"], "empty.mp4"),
        (["--annotations", "text.mp4"], "text.mp4"),
        (["--annotations", "gone.csv"], "gone.csv"),
        (["--features", "x"], "--features 'x' is not NAME=FILE"),
        (["gone/study.toml"], "there is no study file gone/study.toml"),
        (["gone/study.toml", "--film", "text.mp4"], "say the same thing twice"),
    ],
)
def test_files_that_are_not_there_or_not_what_they_say(here, film, args, said):
    refused(here("run", "--tr", "1.5", "--extract-only", *args), said)


def test_extracted_features_are_printed_as_a_table_or_json_and_notes_beside_them(here, film):
    np.save(film / "x.npy", np.ones((9, 2)))
    args = ["run", "--features", "x=x.npy", "--tr", "1", "--extract-only"]
    table = here(*args, "--out", "a").stdout.splitlines()
    assert table[0].split()[:3] == ["stimulus", "signal", "modality"]
    assert table[1].split()[:5] == ["x", "x", "features_table", "9", "1.000"]
    (row,) = json.loads(here(*args, "--out", "b", "--json").stdout)["streams"]
    assert (row["samples"], row["n_trs"]) == (9, 9)
    np.save(film / "scan.npy", np.random.default_rng(0).standard_normal((30, 4)))
    done = here(*args, "--bold", "scan.npy", "--out", "c", "--json")
    assert json.loads(done.stdout)["streams"]
    assert done.stderr.startswith("note: ")


@pytest.mark.parametrize("out", ["/dev/null/out", "text.mp4", "text.mp4/below"])
def test_a_place_that_cannot_be_written(here, film, out):
    np.save(film / "x.npy", np.ones((9, 2)))
    done = here("run", "--features", "x=x.npy", "--tr", "1", "--extract-only", "--out", out)
    refused(done, out.split("/")[0] if out.startswith("text") else "/dev/null")


def test_a_demo_in_place_of_a_file_and_a_report_of_nothing(here, film):
    refused(here("demo", "text.mp4", "--quiet"), "text.mp4")
    refused(here("report", "."), "holds no finished run")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--tr", "0"], "a TR of 0 s is not positive"),
        (["--tr", "soon"], "'soon' is not a time in seconds"),
        (["--exclude", "nope"], "'nope' is no subject"),
        (["--folds", "2"], "states its own [split], and folds draw theirs"),
        (["--video", "none", "--audio", "none", "--text", "none"], "no modality is left"),
        (["-o", "split.gap_s=1"], "split.gap_s = 1 is too small"),
    ],
)
def test_what_the_demo_cannot_do_is_refused_before_it_is_made(here, tmp_path, args, said):
    refused(here("run", *args, "--out", "out"), said)
    assert not (tmp_path / "out").exists()


def test_a_demo_of_no_shift_is_one_line(here, tmp_path):
    refused(here("demo", "here", "--shifted", "nan"), "is not a time in seconds")
    refused(here("demo", "here", "--films", "1"), "a demo needs at least 2 films, not 1")
    assert not (tmp_path / "here").exists()


def test_debug_shows_the_traceback_wherever_it_stands(giblet):
    for args in (["--debug", "report", "gone"], ["report", "gone", "--debug"]):
        done = giblet(*args)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "ConfigError: gone holds no finished run" in done.stderr


RAISES = """
    import sys
    import click
    from giblet.cli import main as module
    from giblet.cli.main import cli, main
    import giblet.cli.plugins

    def raises(*args, **kwargs):
        raise {error}

    giblet.cli.plugins.command.callback = raises
    main(["plugins", *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("KeyboardInterrupt", 130, "giblet: stopped"),
        ("__import__('giblet.training.stopping', fromlist=['_']).Stopped(15)", 143, "giblet: stopped"),
        ("ValueError('a\\nb')", 1, "giblet: unexpected ValueError: a b; the same command with --debug shows where"),
        ("PermissionError(13, 'Permission denied', 'x/y')", 1, "giblet: x/y: Permission denied; give another path"),
        ("click.exceptions.Exit(7)", 7, ""),
    ],
)
def test_whatever_happens_is_one_line_and_an_exit_code(giblet, error, code, said):
    done = giblet(code=RAISES.format(error=error.replace("\n", "\\n")))
    assert done.returncode == code
    lines = done.stderr.strip().splitlines()
    assert len(lines) == bool(said)
    assert "".join(lines).startswith(said)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run", "giblet: stopped; the same command goes on from here"),
        ("--debug ablate", "giblet: stopped; the same command goes on from here"),
        ("run --overwrite", "; if the new run has begun, the same command without --overwrite goes on with it"),
        ("lesion", "giblet: stopped"),
        ("predict", "giblet: stopped"),
        ("demo", "giblet: stopped"),
    ],
)
def test_a_stopped_command_goes_on_only_where_it_says_so(here, monkeypatch, command, said):
    def stop(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", stop)
    (line,) = here(*command.split()).stderr.splitlines()
    assert line.endswith(said)


def test_a_pipe_that_closes_early_is_no_error(giblet):
    command = f"{sys.executable} -m giblet plugins --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "["
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no study to train on; give a study.toml, films and scans (--film, --bold), or `demo`"),
        (["demo", "--study", "demo"], "STUDY (demo) and --study (demo) say the same thing twice; give one"),
        (["gone.toml"], "gone.toml"),
        (["demo", "--film", "*.toml"], "film '*.toml' matches no file"),
        (["demo", "-o", "train.device=tpu"], "train.device = 'tpu' is not possible"),
    ],
)
def test_training_without_a_study_is_refused(here, arguments, said):
    done = here("train", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
