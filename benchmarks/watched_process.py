"""A Python process of its own whose memory is watched from outside, and what of it each stage of the work took.

Two figures are kept apart: `private`, memory that nothing else can give back (RssAnon), and `resident`, all that the
process has in memory, with the pages of files that it maps: those the system drops when others need the room.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

EVERY_S = 0.004
HEAD = """
import json, os, resource, sys, time
asked = json.loads(sys.argv[1])
if asked["limit_bytes"]:
    resource.setrlimit(resource.RLIMIT_DATA, (asked["limit_bytes"], asked["limit_bytes"]))
stages = []
def progress(stage, done, total):
    if not stages or stages[-1][0] != stage:
        stages.append((stage, time.monotonic()))
def told(**found):
    print(json.dumps({"stages": [*stages, ("end", time.monotonic())], **found}))
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a process told, and its peaks in bytes, of all of it and by stage."""

    told: dict[str, Any]
    private: int
    resident: int
    by_stage: dict[str, dict[str, float]]


def watch(code: str, threads: int = 1, limit_bytes: int = 0, cache: Path | None = None, **asked: Any) -> Watched:
    """Run code that may use `asked`, call `progress(stage, done, total)`, and ends with `told(name=value, ...)`.

    `limit_bytes` is what it may hold of its own (RLIMIT_DATA): one byte more, and it is refused.
    """
    command = [sys.executable, "-c", HEAD + code, json.dumps({"limit_bytes": limit_bytes, **asked})]
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    env |= {} if cache is None else {"GIBLET_CACHE": str(cache)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=env)
        samples = _samples(process)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise RuntimeError(err.read()[-2000:])
        told = json.loads(out.read().splitlines()[-1])
    return Watched(told, max(s[1] for s in samples), max(s[2] for s in samples), _by_stage(told.pop("stages"), samples))


def _samples(process: subprocess.Popen[str]) -> list[tuple[float, int, int]]:
    """Time, private and resident bytes, until the process ends."""
    status, samples = Path(f"/proc/{process.pid}/status"), [(0.0, 0, 0)]
    while process.poll() is None:
        rows = dict(line.split(":", 1) for line in status.read_text().splitlines() if line.startswith(("Rss", "VmRSS")))
        if rows:  # none of a process that has just ended
            values = [1024 * int(rows[name].split()[0]) for name in ("RssAnon", "VmRSS")]
            samples.append((time.monotonic(), values[0], values[1]))
        time.sleep(EVERY_S)
    return samples


def _by_stage(stages: list[tuple[str, float]], samples: list[tuple[float, int, int]]) -> dict[str, dict[str, float]]:
    """Seconds and peaks of each stage; one that comes again adds up."""
    found: dict[str, dict[str, float]] = {}
    for (name, start), (_, stop) in pairwise(stages):
        mine = [s for s in samples if start <= s[0] < stop] or [(0.0, 0, 0)]
        row = found.setdefault(name, {"seconds": 0.0, "private": 0, "resident": 0})
        row["seconds"] += stop - start
        row["private"] = max(row["private"], *(s[1] for s in mine))
        row["resident"] = max(row["resident"], *(s[2] for s in mine))
    return found
