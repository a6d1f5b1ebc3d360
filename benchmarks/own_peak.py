"""The most memory that a process had, for processes that benchmarks begin."""

from __future__ import annotations

import os
from pathlib import Path


def own_peak() -> int:
    """Bytes that this process had resident at its peak (Linux).

    `ru_maxrss` is no use here: what a process was begun by counts in it until the other program is loaded.
    """
    return 1024 * int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0])


def with_own_peak() -> dict[str, str]:
    """The environment of a Python process that can import this."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
