"""Pytest fixtures for giblet and for the authors of its plugins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real films, speech and scans that GIBLET_TEST_DATA names; skips where it is absent.

    With GIBLET_REQUIRE_ALL set, as in CI, its absence is a failure.
    """
    folder = Path(os.environ.get("GIBLET_TEST_DATA", "../shared/data")).resolve()
    if not (folder / "README.md").is_file():
        message = f"no real data at {folder}; set GIBLET_TEST_DATA"
        if os.environ.get("GIBLET_REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
