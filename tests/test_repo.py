"""The repository: every plugin is whole, one version everywhere, nothing of one machine in it."""

import re
import subprocess
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(p for p in (ROOT / "plugins").iterdir() if (p / "pyproject.toml").is_file())
LARGEST_BYTES = 1_000_000
LARGEST_BUNDLED_BYTES = 8_000_000
"""Of weights that a plugin carries, in a folder `bundled`."""
DENIED = [
    r"/work/",
    r"/home/\w+/",
    r"/Users/\w+/",
    r"artifactory|jfrog|codeartifact|nexus\.|devpi",
    r"(?:extra-)?index-url|UV_INDEX|PIP_INDEX",
    r"https?://[\w.]*pypi[\w.]*/simple",
    r"\b(?:TODO|FIXME)\b",
]
"""Machine paths, package registries and loose ends; docs may not speak of them either."""


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in out.stdout.split("\0") if name and (ROOT / name).is_file()]


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


def test_there_are_six_plugins():
    kinds = ["audio_encodec", "audio_mel", "fmri_mask", "text_bge", "video_2dcnn", "video_s3d"]
    assert [p.name for p in PLUGINS] == kinds
    assert [p.name for p in (ROOT / "plugins").iterdir() if p.is_dir() and p not in PLUGINS] == []


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda p: p.name)
def test_every_plugin_is_whole(folder):
    about = project(folder)
    assert about["name"] == f"giblet-{folder.name.replace('_', '-')}"
    assert about["entry-points"]["giblet"] == {folder.name: f"giblet_{folder.name}"}
    assert (folder / "src" / f"giblet_{folder.name}" / "__init__.py").is_file()
    assert len((folder / "README.md").read_text("utf-8").split()) >= 30
    assert list((folder / "tests").glob("test_*.py"))
    texts = [p.read_text("utf-8") for p in (folder / "tests").glob("test_*.py")]
    assert any("modality_checks" in text or "checks_for" in text for text in texts), "no conformance test"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda p: p.name)
def test_every_plugin_is_installed_and_registered_under_its_name(folder):
    (point,) = entry_points(group="giblet", name=folder.name)
    assert point.load().__name__.partition(".")[0] == f"giblet_{folder.name}"


def test_one_version_everywhere():
    projects = [project(folder) for folder in (ROOT, ROOT / "core", *PLUGINS)]
    assert {p["version"] for p in projects} == {version("giblet")}
    assert {p["requires-python"] for p in projects} == {">=3.11"}


def test_the_workspace_names_every_plugin():
    named = {re.split(r"[\[<>=]", d)[0] for d in project(ROOT)["dependencies"]}
    assert named >= {"giblet", *(project(p)["name"] for p in PLUGINS)}


def test_no_lock_file_and_nothing_large_is_tracked():
    files = tracked()
    assert ROOT / "uv.lock" not in files
    assert [p.name for p in files if p.stat().st_size > largest_bytes(p)] == []


def largest_bytes(path):
    weights = "bundled" in path.parts and path.suffix == ".safetensors"
    return LARGEST_BUNDLED_BYTES if weights else LARGEST_BYTES


def test_nothing_of_one_machine_is_tracked():
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for d in DENIED for m in re.finditer(d, text)]
    assert found == []
