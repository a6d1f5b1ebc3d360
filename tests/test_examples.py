"""What stands in examples/ works as a third party's would: public interface only, built, installed, checked."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from giblet.media.examples import EXAMPLES as EXAMPLE_FILES

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(p.parent for p in (ROOT / "examples").glob("*/pyproject.toml"))
BIN = Path(sys.executable).parent
PUBLIC = {"", "types", "errors", "hookspecs", "modality", "alignment", "media", "nn", "testing", "video"}
"""What a plugin may import of giblet, by the part after `giblet.`."""


def test_there_is_one():
    assert [p.name for p in EXAMPLES] == ["audio_stft"]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda p: p.name)
def test_it_uses_the_public_interface_only(folder):
    modules = {m for path in (folder / "src").rglob("*.py") for m in imported(path)}
    of_core = {m.partition(".")[2].partition(".")[0] for m in modules if m.partition(".")[0] == "giblet"}
    assert of_core
    assert of_core <= PUBLIC
    assert not [m for m in modules if m.startswith("giblet_") and m.partition(".")[0] != f"giblet_{folder.name}"]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda p: p.name)
def test_it_is_no_member_of_the_workspace(folder):
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    name = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    assert name not in workspace["tool"]["uv"]["sources"]
    assert not any(folder.match(member) for member in workspace["tool"]["uv"]["workspace"]["members"])


@pytest.mark.slow
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda p: p.name)
def test_it_is_built_installed_and_checked(folder, tmp_path):
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}

    def run(words: list[str], cwd: Path) -> str:
        done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    wheel = run([sys.executable, "-c", f"import uv_build; print(uv_build.build_wheel({str(tmp_path)!r}))"], folder)
    with ZipFile(tmp_path / wheel.strip()) as package:
        package.extractall(tmp_path)
    assert re.search(rf"^{folder.name} +\w+ +stimulus +giblet-", run(["giblet", "plugins"], tmp_path), re.M)
    assert re.search(r"all \d+ checks passed", run(["giblet", "check-plugin", folder.name], tmp_path))
    EXAMPLE_FILES["video"](tmp_path)
    for code in re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text("utf-8"), re.M | re.S):
        run([sys.executable, "-c", code], tmp_path)
    assert (tmp_path / "again.wav").is_file()
