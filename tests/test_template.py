"""`giblet new-plugin`: what it writes works untouched, and what cannot be meant is refused in one line."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from giblet.cli.main import main
from giblet.cli.new_plugin import NEW, PLACES, SUMMARIES, distribution

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "how-to" / "new-kind.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
BIN = Path(sys.executable).parent
KINDS = [*SUMMARIES, "eeg"]


def new_plugin(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["new-plugin", *map(str, words)])
    return int(stop.value.code or 0)


def run(words: list[str], folder: Path, site: Path | None = None) -> str:
    """What a program of the environment prints; packages in `site` count as installed."""
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "GIBLET_CACHE": str(folder / "cache")}
    env |= {"COLUMNS": "200", "PYTHONPATH": "" if site is None else str(site)}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def install(package: Path, site: Path) -> None:
    """What `pip install` does: the build backend makes a wheel, and the wheel is unpacked; no network."""
    made = run([sys.executable, "-c", f"import uv_build; print(uv_build.build_wheel({str(site)!r}))"], package)
    with ZipFile(site / made.strip()) as wheel:
        wheel.extractall(site)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin of every kind that has a template, and of a new one."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        assert new_plugin("mine", "--kind", kind, folder / f"giblet-{kind}-mine") == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_distribution_is_written(made, kind):
    folder = made / f"giblet-{kind}-mine"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    module = f"src/giblet_{kind}_mine"
    assert files - {f"{module}/nets.py"} == {
        *(".gitignore", ".github/workflows/tests.yml", "README.md", "pyproject.toml"),
        *(f"{module}/__init__.py", f"{module}/py.typed", f"tests/test_{kind}_mine.py"),
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == folder.name
    assert project["entry-points"]["giblet"] == {f"{kind}_mine": f"giblet_{kind}_mine"}
    assert "matrix.python }}" in (folder / ".github/workflows/tests.yml").read_text("utf-8")


def test_every_file_of_the_template_is_used():
    template = ROOT / "core" / "src" / "giblet" / "template"
    there = {p.relative_to(template).as_posix().removesuffix(".tmpl") for p in template.rglob("*") if p.is_file()}
    used = {part.format(kind=kind) for part in PLACES for kind in (*SUMMARIES, NEW)}
    assert there - used == {f"{kind}/about.md" for kind in (*SUMMARIES, NEW)}


@pytest.mark.parametrize("kind", ["audio", "video", "text"])
def test_a_real_plugin_has_at_most_forty_lines(kind):
    files = distribution("mine", kind)
    assert len(files[f"src/giblet_{kind}_mine/__init__.py"].splitlines()) <= 40


@pytest.mark.parametrize("name", ["mine", "a_longer_name_than_most_authors_would_choose"])
def test_the_linter_has_nothing_to_say(made, tmp_path, name):
    for kind in KINDS:
        assert new_plugin(name, "--kind", kind, tmp_path / kind) == 0
    run(["ruff", "check", "--no-cache", "."], tmp_path)
    run(["ruff", "format", "--check", "--no-cache", "."], tmp_path)


MYPY = """
[mypy]
strict = True
warn_return_any = False
disallow_subclassing_any = False
[mypy-torch.*,av.*]
follow_imports = skip
"""
"""As the packages' own settings, but without the minute that reading torch takes."""


@pytest.mark.slow
def test_types_are_strict(made, tmp_path):
    (tmp_path / "mypy.ini").write_text(MYPY)
    options = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path)]
    folders = [*map(str, made.glob("*/src")), *map(str, made.glob("*/tests"))]
    assert f"{2 * len(KINDS) + 1} source files" in run(["mypy", *options, *folders], made)


@pytest.mark.slow
def test_its_own_tests_pass_untouched(made, tmp_path):
    """All in one process, which imports torch once; each package's own settings hold for each of them alike."""
    for kind in KINDS:
        install(made / f"giblet-{kind}-mine", tmp_path)
    config = made / "giblet-audio-mine" / "pyproject.toml"
    out = run(
        ["pytest", "-q", "-rs", "-p", "no:cacheprovider", "-c", str(config), *map(str, made.glob("*/tests"))],
        made,
        tmp_path,
    )
    passed = re.search(r"^(\d+) passed", out, re.M)
    assert passed is not None, out
    assert int(passed[1]) > 20 * len(KINDS)
    skipped = re.findall(r"^SKIPPED .*?([\w/]+\.py)", out, re.M)
    assert {path[-18:] for path in skipped} <= {"testing/running.py"}  # checks that say why they have nothing to try
    assert not re.search(r"xfailed|deselected", out)


@pytest.mark.slow
def test_the_guide_to_a_new_kind_works_step_by_step(tmp_path):
    site, outputs = tmp_path / "site", []
    site.mkdir()
    for language, code in BLOCK.findall(GUIDE.read_text("utf-8")):
        if language == "sh":
            for line in code.replace("\\\n", " ").splitlines():
                words = shlex.split(line)
                if words[0] == "uv":
                    assert words[:-1] == ["uv", "pip", "install", "--editable"]
                    install(tmp_path / words[-1], site)
                else:
                    outputs.append(run(words, tmp_path, site))
        elif language == "toml":
            (tmp_path / "study.toml").write_text(code, encoding="utf-8")
        else:
            run([sys.executable, "-c", code], tmp_path, site)
    written, checked, extracted, trained = outputs
    assert "uv pip install pytest --editable giblet-eeg-raw" in written
    assert re.search(r"all \d+ checks passed", checked)
    assert re.search(r"eeg_raw +10200 +20\.000 +30 +340 +340", extracted)
    assert re.search(r"^eeg +0\.\d+", trained, re.M)
    assert (tmp_path / "out" / "eeg" / "report.html").is_file()
    assert re.search(r"--eeg NAME +raw or none", run(["giblet", "run", "--help"], tmp_path, site))
    assert re.search(
        r"^eeg_raw +eeg +stimulus +giblet-eeg-raw +0\.1\.0", run(["giblet", "plugins"], tmp_path, site), re.M
    )


def test_the_environment_is_left_as_it_was():
    assert importlib.util.find_spec("giblet_eeg_raw") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("my-thing", "--kind", "audio"), "cannot be a plugin's name.*pupil_size"),
        (("Loudness", "--kind", "audio"), "cannot be a plugin's name"),
        (("a__b", "--kind", "audio"), "cannot be a plugin's name"),
        (("größe", "--kind", "audio"), "cannot be a plugin's name"),
        (("", "--kind", "audio"), "cannot be a plugin's name"),
        (("mine", "--kind", "eye_tracking"), "'eye_tracking' cannot be a kind: one lower-case word"),
        (("mine", "--kind", "2d"), "cannot be a kind"),
        (("mine", "--kind", "train"), "cannot be a kind"),
        (("mine", "--kind", "features"), "cannot be a kind"),
        (("mine", "--kind", "import"), "'import' cannot be a kind.*no word of Python"),
        (("class", "--kind", "audio"), "'class' cannot be a plugin's name.*no word of Python"),
        (("mel", "--kind", "audio"), "audio_mel is there already, from giblet-audio-mel 0.1.0; choose another name"),
        (("table", "--kind", "features"), "cannot be a kind"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert new_plugin(*words) == 2
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    assert new_plugin("mine", "--kind", "audio", tmp_path) == 2
    assert new_plugin("mine", "--kind", "audio", kept) == 2
    assert new_plugin("mine", "--kind", "audio", kept / "below") == 2  # a parent that cannot be written to
    errors = capsys.readouterr().err.splitlines()
    assert [bool(re.search("nothing was written|cannot be written", e)) for e in errors] == [True] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]
    assert kept.read_text() == "mine"


def test_an_empty_folder_is_taken_and_a_new_kind_is_said(tmp_path, capsys):
    folder = tmp_path / "with space ü"
    folder.mkdir()
    assert new_plugin("mine", "--kind", "vidoe", folder) == 0
    assert (folder / "pyproject.toml").is_file()
    said = capsys.readouterr()
    assert "vidoe is a new kind; did you mean 'video'?" in said.err
    install, test = [shlex.split(line) for line in said.out.splitlines()[1:]]
    assert install == ["uv", "pip", "install", "pytest", "--editable", str(folder)]  # pytest may not be there yet
    assert test == ["pytest", str(folder)]


def test_without_a_folder_it_is_called_after_the_plugin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new_plugin("pupil_size", "--kind", "eyetracking") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["giblet-eyetracking-pupil-size"]
    assert "uv pip install pytest --editable giblet-eyetracking-pupil-size" in capsys.readouterr().out
