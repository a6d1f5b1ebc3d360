"""What confounds cost scans, and what taking them out gives back: demo worlds whose noiseless signal is known.

    ./do python benchmarks/confounds.py
    ./do python benchmarks/confounds.py --seeds 3 4 5 --json out/confounds.json --check

To the scans of the test block is added what `giblet demo --bids` adds: six parameters of motion and two series of
tissue. A row is the correlation of the cleaned scan with the cleaned noiseless signal over the test TRs, mean over
voxels that hear something (ceiling at least 0.1) and over people, with the SD over people. `alone`: nothing is added,
drift is taken out. `left in`: the same of the scan with all in it. `scan only`: the eight series are taken out of the
scan; `both`: out of the signal too, as giblet takes them out of predictions. `24P`: 24 parameters of motion and the
means of tissue, out of both.

Bar: `both` at least 0.95 of `alone`, in every world.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from giblet.alignment import clean
from giblet.data.demo.brain import Person, make_people
from giblet.data.demo.confounds import MOTION, TISSUE, draw_confounds, mix
from giblet.data.demo.schedule import TEST, TEST_RUN, TR_S, stream
from giblet.data.demo.truth import correlation
from giblet.data.demo.world import make_world
from numpy.typing import NDArray

BAR, HEARD = 0.95, 0.1
Real = NDArray[np.float64]
FULL = [f"{name}{end}" for name in MOTION for end in ("", "_derivative1", "_power2", "_derivative1_power2")]
SETS: dict[str, list[str]] = {"drift": [], "default": [*MOTION, *TISSUE], "24P": [*FULL, *TISSUE]}
ROWS = {
    "alone": ("scan", "drift", "drift"),
    "left in": ("mixed", "drift", "drift"),
    "scan only": ("mixed", "default", "drift"),
    "both": ("mixed", "default", "default"),
    "24P": ("mixed", "24P", "24P"),
}
"""Which scan, what is taken out of it, and what of the signal."""


def person_scores(person: Person, rng: np.random.Generator) -> dict[str, float]:
    """Correlation with the signal by row, mean over voxels that hear something."""
    table = draw_confounds(rng)
    scan = np.asarray(person.bold[TEST_RUN], np.float64)
    scans = {"scan": scan, "mixed": mix(rng, scan.T, table).T}
    regressors = {
        name: np.stack([first_filled(table[c]) for c in wanted], 1) if wanted else None for name, wanted in SETS.items()
    }
    drift_free = [clean(part[TEST_RUN], [TEST], TR_S)[TEST].var(0) for part in (person.signal, person.noise)]
    heard = np.sqrt(drift_free[0] / sum(drift_free)) >= HEARD
    found = {}
    for row, (which, of_scan, of_signal) in ROWS.items():
        y = clean(scans[which], [TEST], TR_S, confounds=regressors[of_scan])[TEST]
        signal = clean(person.signal[TEST_RUN], [TEST], TR_S, confounds=regressors[of_signal])[TEST]
        found[row] = float(correlation(signal, y)[heard].mean())
    return found


def first_filled(series: Real) -> Real:
    """A series whose first value is not known takes the second's."""
    return np.where(np.isnan(series), series[1], series)


def world_scores(seed: int) -> dict[str, list[float]]:
    """Each row's scores by person."""
    people = make_people(make_world(seed))
    each = [person_scores(p, stream(seed, "confounds", i, TEST_RUN)) for i, p in enumerate(people)]
    return {row: [scores[row] for scores in each] for row in ROWS}


def main() -> int:
    """Print the table; 1 if a bar is missed, 2 if it cannot be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--json", type=Path, help="write the scores by world, row and person")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    args = parser.parse_args()
    worlds = {seed: world_scores(seed) for seed in args.seeds}
    print("| scans | " + " | ".join(f"world {seed}" for seed in worlds) + " |\n|---|" + "---|" * len(worlds))
    for row in ROWS:
        cells = [f"{np.mean(w[row]):.3f} ± {np.std(w[row]):.3f}" for w in worlds.values()]
        print(f"| {row} | " + " | ".join(cells) + " |")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(worlds, indent=1), encoding="utf-8")
    missed = [seed for seed, w in worlds.items() if np.mean(w["both"]) < BAR * np.mean(w["alone"])]
    print(f"\nbar: both >= {BAR} x alone: {'missed in worlds ' + str(missed) if missed else 'met'}")
    return int(bool(missed) and args.check)


if __name__ == "__main__":
    sys.exit(main())
