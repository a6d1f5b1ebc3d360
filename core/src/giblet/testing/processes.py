"""Checks that need another process: workers get a modality by pickle, and listing plugins must stay quick."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from giblet.testing.case import Case
from giblet.testing.verdict import require
from giblet.types import Features

HEAVY = ("torch", "transformers", "librosa", "nilearn", "sklearn", "pandas")
WORKER = """
import pickle, sys
from pathlib import Path
modality, source = pickle.loads(Path(sys.argv[1]).read_bytes())
from giblet import Features
from giblet.testing.processes import digest
print(digest(Features.concat(modality.extract(source))))
"""


def check_picklable(case: Case) -> None:
    """A modality and its fitted state come back from pickle as they were."""
    again = pickle.loads(pickle.dumps(case.fitted))
    require(again == case.fitted, "the modality that comes back from pickle is another; keep settings in fields")
    require(set(again.state) == set(case.fitted.state), "pickle loses the fitted state; do not override __reduce__")


def check_light_import(case: Case) -> None:
    """Importing the plugin does not import torch and the like: listing and help stay quick."""
    module = type(case.modality).__module__
    out = _python(f"import {module}, sys; print([m for m in {HEAVY} if m in sys.modules])", module)
    require(out == "[]", f"importing {module} also imports {out}; import heavy libraries inside the methods")


def check_extract_in_a_worker(case: Case) -> None:
    """A process that was started anew extracts the same."""
    with TemporaryDirectory() as tmp:
        path = Path(tmp) / "task.pickle"
        path.write_bytes(pickle.dumps((case.fitted, case.make_source())))
        out = _python(WORKER, type(case.modality).__module__, str(path))
    want = digest(case.features)
    require(out == want, "a worker extracts something else; extract may depend on settings, state and source only")


def digest(features: Features) -> str:
    """Fingerprint of values and times."""
    parts = [str(features.values.dtype), str(features.values.shape), str(features.timebase)]
    found = sha256("|".join(parts).encode())
    found.update(features.values.tobytes())
    found.update(features.ticks.tobytes())
    return found.hexdigest()


def _python(code: str, module: str, *arguments: str) -> str:
    """What a fresh interpreter prints last."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=env)
    last = (done.stderr.strip().splitlines() or ["no error was said"])[-1]
    require(done.returncode == 0, f"{module} does not work in a process of its own: {last}")
    return done.stdout.strip().splitlines()[-1]
