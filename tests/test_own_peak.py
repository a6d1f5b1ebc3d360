"""How benchmarks measure the memory of a process that they begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHILD = "from own_peak import own_peak; x = bytearray(b'x') * {0}; del x; print(own_peak())"

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")


@pytest.mark.parametrize("size", [0, 100_000_000])
def test_a_peak_is_of_the_process_alone(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process that began it held, 300 MB here, does not count; what it gave back does."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    environment = __import__("own_peak").with_own_peak()
    held = np.ones(300_000_000, np.uint8)
    command = [sys.executable, "-c", CHILD.format(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert held.all()
    assert size < int(done.stdout) < size + 60_000_000
