"""Our model beside FIR ridge and banded ridge on real scans: held-out r on contiguous test blocks.

    ./do python benchmarks/real_scans.py
    ./do python benchmarks/real_scans.py --study alice --seeds 0 1 2 3 4 --check

The model is what `giblet run` trains, with its default settings; -o SECTION.KEY=VALUE changes one. All methods read the
same features, blocks and TRs: the ridges have lags as long as the model's kernel, choose their penalties by blocked
cross-validation inside the training TRs, and are fitted on training and validation TRs; features that are under an HRF
already get no lags. `components` are ridges on the principal components that the model reads, the plain ones on the
features themselves; those under the HRF read the components under the canonical response at three delays. Targets: the
mean over people, and everybody (mean of their r). `seeds averaged` is what `train.ensemble` makes of as many. Gaps are
those of the sets' own protocols, 60 s and 20 s. Alice is read twice: `alice` gives each word the last 10 s of text, for
which `giblet run` would leave 70 s; `alice-by-word` reads each by itself, as is the default.

Bar, both readings of Alice: group-mean r at least 0.25, above the best ridge in at least 4 of 5 test blocks, and the
90 % interval of the difference (bootstrap over blocks and people) above 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from giblet.analysis.joined import join, joined_predictions, joined_scanned, joined_scans
from giblet.analysis.ridges import GROUP, ridge_predictions
from giblet.config import RunConfig, build_config, parse_overrides
from giblet.data.folds import fold_splits
from giblet.errors import GibletError
from giblet.model import Codes, predict_scans
from giblet.pipeline import extract_study
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import applied
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.presentations import presentations
from giblet.pipeline.scans import add_scans
from giblet.pipeline.train import train_trunk
from giblet.plugins import Registry
from paired import DRAWS, RIDGES, Fold, Predictions, misses, show, summary
from real_studies import STUDIES, RealStudy, data_folder

MODALITIES = {"text": "text_bge", "fmri": "fmri_mask"}


def fold_inputs(real: RealStudy, base: Inputs, config: RunConfig, fold: int) -> Inputs:
    """The inputs of one fold: its blocks, and everybody's scans cleaned block by block."""
    lengths = {t.run: t.grid.n_trs for t in base.timelines}
    gap = ceil(real.gap_s / float(real.study.tr_s))
    split = fold_splits(lengths, gap, real.folds, config.split.validation)[fold]
    timelines = [replace(t, blocks=tuple(split[t.run])) for t in base.timelines]
    runs = presentations(real.study, base.modalities)
    brain, timelines, sd = add_scans(base.registry, real.study, runs, config, timelines, lambda *_: None)
    return replace(base, brain=brain, timelines=timelines, gap=gap, bold_sd=sd)


def ridges(
    inputs: Inputs, codes: Codes, undelayed: Sequence[str], config: RunConfig
) -> tuple[Predictions, Predictions]:
    """What each ridge predicts over all TRs for the people [S, T, V] and, fitted on its own, the group mean [T, V]."""
    scans = {s: joined_scans(inputs.timelines, s) for s in inputs.subjects}
    measured = {s: joined_scanned(inputs.timelines, s) for s in inputs.subjects}
    scans[GROUP] = np.mean(list(scans.values()), axis=0)
    measured[GROUP] = np.any(list(measured.values()), axis=0)
    timing = (inputs.gap, inputs.slice_time_ref, undelayed)
    made, _ = ridge_predictions(inputs.timelines, codes, scans, measured, config, *timing)
    people = {RIDGES[m]: np.stack([p[s] for s in inputs.subjects]) for m, p in made.items()}
    return people, {RIDGES[m]: p[GROUP] for m, p in made.items()}


def run_fold(inputs: Inputs, config: RunConfig, seeds: Sequence[int], folder: Path) -> Fold:
    """Train the model once a seed, fit the ridges once, and keep what they predict of the test block."""
    test, scans = join(inputs.timelines).test_trs, [joined_scans(inputs.timelines, s) for s in inputs.subjects]
    fold = Fold(np.stack(scans)[:, test])
    for seed in seeds:
        chosen = config.model_copy(update={"seed": seed})
        made = folder / f"seed-{seed}"
        made.mkdir(parents=True)
        trained = train_trunk(inputs, chosen, RunFolder(made), lambda *_: None)
        predicted = predict_scans(trained.model, trained.codes, inputs.timelines)
        guess = np.stack([joined_predictions(predicted, s) for s in inputs.subjects])[:, test]
        fold.people[f"ours {seed}"], fold.group[f"ours {seed}"] = guess, guess.mean(0)
    fold.people["ours"] = np.mean([fold.people[f"ours {s}"] for s in seeds], 0)
    fold.group["ours"] = fold.people["ours"].mean(0)
    people, group = ridges(inputs, trained.codes, applied(trained.nets), config)
    fold.people |= {m: p[:, test] for m, p in people.items()}
    fold.group |= {m: p[test] for m, p in group.items()}
    return fold


def measure(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One study, from its files to its figures."""
    real = STUDIES[name](data_folder(), folder)
    overrides = dict(real.settings) | parse_overrides(args.overrides, MODALITIES)
    config = build_config(MODALITIES, overrides, seed=args.seeds[0], plumbing=False)
    base = extract_study(real.study, config, Registry.discover(), lambda *_: None, brain=False)
    folds = [
        run_fold(fold_inputs(real, base, config, k), config, args.seeds, folder / f"fold-{k}")
        for k in range(real.folds)
    ]
    row = summary(name, folds, args.seeds, args.draws)
    return row | {"features": real.features, "has_bar": real.has_bar}


def main() -> int:
    """Measure the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=STUDIES, action="append", dest="studies", help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the bootstrap")
    parser.add_argument("-o", dest="overrides", metavar="SECTION.KEY=VALUE", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    rows = []
    for name in args.studies or STUDIES:
        try:
            with tempfile.TemporaryDirectory() as tmp:
                rows.append(measure(name, args, Path(tmp)))
        except GibletError as error:
            print(f"{name} is missing: {error}", file=sys.stderr)
            return 2
        if not args.json:
            show(rows[-1])
    if args.json:
        print(json.dumps(rows))
    missed = [line for row in rows for line in misses(row)]
    for line in missed:
        print(f"misses its bar: {line}", file=sys.stderr)
    return int(args.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
