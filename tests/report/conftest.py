"""Runs that were never computed, with all that the page shows of a real one."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from giblet.report import write_report

sys.path.append(str(Path(__file__).parent))  # the helpers beside the tests

from page_browser import Browser
from page_run import fabricate, write_media


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Path:
    """A whole run with its report."""
    folder = fabricate(tmp_path_factory.mktemp("run") / "läuft", media)
    write_report(folder)
    return folder


@pytest.fixture
def media_only(tmp_path: Path, media: Path) -> Path:
    """Films and sounds of its own for each test, without figures."""
    folder = tmp_path / "run"
    shutil.copytree(media, folder / "reconstructions")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def numbers_only(tmp_path: Path) -> Path:
    """A run without maps, curves, films and sounds."""
    folder = fabricate(tmp_path / "run", None)
    (folder / "maps.npz").unlink()
    (folder / "train.jsonl").unlink()
    return folder


@pytest.fixture
def bare_folder(tmp_path: Path) -> Callable[[dict[str, object]], Path]:
    def write(metrics: dict[str, object]) -> Path:
        (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture(scope="module")
def page(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that shows the page of a whole run; one for the tests of a file, each of which sets what it needs.

    It is gone before other files' tests run: films that go on playing take two processors.
    """
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.show()
    browser.open(written / "report.html")
    yield browser
    browser.close()
