"""A run that is killed, told to stop or denied the disk at random moments: what is lost, and what comes out in the end.

    ./do python benchmarks/faults.py
    ./do python benchmarks/faults.py --kills 8 --seed 1 --check

A study of noise (a film with sound, ready-made features, six people) is run once undisturbed. Then the same command
is started and ended with `kill -9` at a moment that is drawn evenly over the time that the whole takes, started again,
and so on until it gets through, for which the fifth life is spared: that is one chain. Chains, each with an empty
folder and an empty cache, go on until there were --kills kills. The same is done with Ctrl-C, and with files that
cannot grow beyond a size that is drawn anew for each life, as on a full disk; in an output folder that cannot be
written nothing may begin.

Bars: every chain ends with the figures, losses, trained weights, checkpoints, maps and reconstructions of the
undisturbed run, to the last bit, with its other files (which hold times and paths) and no more; a life that ends by
itself says why in one line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from giblet.folders import cache_folder
from made_study import make_study

TRS, VOXELS, PEOPLE, FILM_S = 300, 40, 6, 450
SETTINGS = ["train.front_end_steps=20", "train.trunk_steps=30", "train.decoder_steps=20", "train.save_every_s=0"]
SETTINGS += ["train.validate_every=5", "train.trunk_validate_every=5", "evaluate.null_shifts=50", "split.gap_s=60"]
SETTINGS += ["evaluate.banded_candidates=2", "evaluate.variance_candidates=2", "evaluate.random_lesions=0"]
SETTINGS += ["evaluate.reconstruct_s=12", "model.latent=16"]
UNWRITABLE = Path("/proc/giblet")
LIVES = 4
"""After so many lives that were ended, the next of a chain is left to finish."""
SMALLEST, LARGEST = 2_000, 2_000_000
ENDS = ("kill -9", "Ctrl-C", "no room")


class Drill:
    """One command on one study, in folders of its own."""

    def __init__(self, study: Path, rng: np.random.Generator) -> None:
        self.study, self.rng, self.seconds = study, rng, 0.0
        self.problems: list[str] = []
        self.hits: dict[str, Counter[str]] = {end: Counter() for end in ENDS}

    def start(self, place: Path, limit: int | None = None) -> subprocess.Popen[str]:
        """Begin, or go on with, the run of a place."""
        settings = [*SETTINGS, f"fmri.mask={self.study.parent / 'mask.nii'}"]
        flags = [part for setting in settings for part in ("-o", setting)]
        kinds = ["--audio", "mel", "--video", "none"]
        command = [sys.executable, "-m", "giblet", "run", str(self.study), *kinds, *flags, "--quiet"]
        env = os.environ | {"GIBLET_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
        limited = None if limit is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        out = UNWRITABLE if place == UNWRITABLE else place / "run"
        with (self.study.parent / "stderr").open("w") as errors:
            return subprocess.Popen(
                [*command, "--out", str(out)], env=env, preexec_fn=limited, stdout=subprocess.DEVNULL, stderr=errors
            )

    def said(self, what: str) -> list[str]:
        """What the last life said; more than a line of error is a problem."""
        lines = (self.study.parent / "stderr").read_text().splitlines()
        errors = [line for line in lines if line and not line.startswith("note: ")]
        if len(errors) > 1:
            self.problems.append(f"{what}: {len(errors)} lines, from {errors[0]!r} to {errors[-1]!r}")
        return errors

    def undisturbed(self, place: Path) -> dict[str, str]:
        """What the run should leave; the seconds that it takes are kept."""
        started = time.monotonic()
        if self.start(place).wait():
            raise RuntimeError(self.said("undisturbed"))
        self.seconds = time.monotonic() - started
        return left_by(place)

    def chain(self, end: str, place: Path, expected: dict[str, str]) -> int:
        """Begin and end a run until it gets through; how many lives were ended."""
        ended = 0
        while True:
            place.mkdir(parents=True, exist_ok=True)
            last = ended >= LIVES
            finished = self._room(place) if end == "no room" else self._signal(end, place, spared=last)
            if finished:
                break
            ended += 1
            self.hits[end][stage_of(place)] += 1
        found = left_by(place)
        wrong = sorted(name for name in found.keys() | expected if found.get(name) != expected.get(name))
        if wrong:
            self.problems.append(f"{end}: differs in {', '.join(wrong)}")
        shutil.rmtree(place)
        return ended

    def _signal(self, end: str, place: Path, *, spared: bool) -> bool:
        """One life that a signal ends, unless it is done before or spared."""
        process = self.start(place)
        try:
            process.wait(None if spared else self.rng.uniform(0, self.seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL if end == "kill -9" else signal.SIGINT)
        code = process.wait()
        said = self.said(end)
        if spared and code:
            raise RuntimeError(f"{end}: what was interrupted cannot finish: exit {code}: {said}")
        if code not in (0, -signal.SIGKILL, 130, -signal.SIGINT):
            self.problems.append(f"{end}: exit {code}: {said}")
        return code == 0

    def _room(self, place: Path) -> bool:
        """One life in which no file gets beyond a size; the last of several has all the room."""
        limit = int(np.exp(self.rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
        code = self.start(place, limit).wait()
        said = self.said("no room")
        if code == 0:
            return True
        if code not in (1, 2) or not said:
            self.problems.append(f"no room ({limit} bytes): exit {code}: {said}")
        self.hits["no room"][stage_of(place)] += 1
        if code := self.start(place).wait():
            raise RuntimeError(f"no room: with room again it cannot finish: exit {code}: {self.said('no room')}")
        return True

    def unwritable(self) -> None:
        """A folder that cannot be made."""
        code, said = self.start(UNWRITABLE).wait(), self.said("unwritable")
        if code not in (1, 2) or len(said) != 1 or str(UNWRITABLE) not in said[0]:
            self.problems.append(f"unwritable output: exit {code}: {said}")


def left_by(place: Path) -> dict[str, str]:
    """Every file of a finished run, and its content: figures without times and paths, weights and all else by hash."""
    run, found = place / "run", {}
    for path in sorted(p for p in run.rglob("*") if p.is_file()):
        name = str(path.relative_to(run))
        if name == "metrics.json":
            figures = json.loads(path.read_text())
            found[name] = json.dumps({k: v for k, v in figures.items() if k not in ("command", "machine")})
        elif name == "train.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            last = {(r["stage"], r["step"]): {k: v for k, v in r.items() if k != "seconds"} for r in rows}
            found[name] = str(sorted(last.items()))
        elif name == "log.jsonl" or path.suffix in (".html", ".json") or path.name == ".metadata":
            found[name] = ""  # they hold times, the run's own path, or a number drawn for each checkpoint
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def stage_of(place: Path) -> str:
    """How far a run had come."""
    run = place / "run"
    marks = {"report": "metrics.json", "evaluation": "model", "training": "checkpoints", "before training": "run.json"}
    return next((stage for stage, mark in marks.items() if (run / mark).exists()), "extraction")


def drill(kills: int, seed: int, show: Callable[[str], None]) -> dict[str, Any]:
    """All of it."""
    ended = dict.fromkeys(ENDS, 0)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        folder = Path(name)
        study = make_study(folder / "study", TRS, VOXELS, PEOPLE, film_s=FILM_S)
        work = Drill(study, np.random.default_rng(seed))
        expected = work.undisturbed(folder / "undisturbed")
        show(f"undisturbed: {work.seconds:.0f} s, {len(expected)} files")
        wanted = {"kill -9": kills, "Ctrl-C": max(1, kills // 5), "no room": max(1, kills // 5)}
        for end, n in wanted.items():
            while ended[end] < n:
                ended[end] += max(work.chain(end, folder / "chain", expected), int(end == "no room"))
                show(f"{end}: {ended[end]} of {n}, {len(work.problems)} problems")
        work.unwritable()
    return {
        "seed": seed,
        "seconds": work.seconds,
        "ended": ended,
        "hits": {end: dict(counts) for end, counts in work.hits.items()},
        "problems": work.problems,
    }


def show_table(found: dict[str, Any]) -> None:
    """A row a way to end."""
    print(f"seed {found['seed']}; undisturbed {found['seconds']:.0f} s")
    for end, n in found["ended"].items():
        hits = ", ".join(f"{stage} {count}" for stage, count in found["hits"][end].items())
        print(f"{end:10}{n:5}   {hits}")
    for problem in found["problems"] or ["no difference from the undisturbed run"]:
        print(problem)


def main() -> int:
    """Drill and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell shuts off in the background
    found = drill(options.kills, options.seed, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(found, indent=1)) if options.json else show_table(found)
    return int(bool(found["problems"]) and options.check)


if __name__ == "__main__":
    sys.exit(main())
